/** A native source includes the headers of what it uses: what another header happens to bring along differs from one standard library to the next. */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { expect, it } from 'vitest'

const root = join(import.meta.dirname, '../..')
/** by header: names of std that it is the one to declare */
const HEADERS: Record<string, string> = {
  algorithm: 'min max clamp find find_if sort stable_sort fill fill_n copy copy_n lower_bound upper_bound any_of all_of nth_element',
  array: 'array',
  atomic: 'atomic atomic_flag memory_order_relaxed memory_order_acquire memory_order_release memory_order_acq_rel',
  bit: 'bit_cast popcount countr_zero rotl has_single_bit bit_ceil',
  chrono: 'chrono',
  cmath: 'sqrt exp exp2 expm1 log pow sin cos fabs fmax ceil fma isnan isfinite ldexp',
  cstdio: 'snprintf',
  cstdlib: 'malloc realloc free aligned_alloc abort',
  cstring: 'memcpy memset memcmp strlen',
  functional: 'function',
  initializer_list: 'initializer_list',
  iterator: 'begin end size',
  limits: 'numeric_limits',
  memory: 'unique_ptr make_unique shared_ptr align',
  mutex: 'mutex lock_guard unique_lock',
  new: 'nothrow bad_alloc launder',
  numeric: 'accumulate iota',
  string: 'string to_string',
  thread: 'thread',
  type_traits: 'is_same_v is_same conditional_t enable_if_t is_trivially_copyable_v',
  utility: 'move swap exchange pair forward declval index_sequence make_index_sequence integer_sequence make_integer_sequence',
  vector: 'vector',
}
const headerOf = new Map(Object.entries(HEADERS).flatMap(([header, names]) => names.split(' ').map((name) => [name, header])))

// what is built is passed over before it is read: Wine's folder in it leads to the whole machine
const filesIn = (folder: string): string[] =>
  readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name)
    return entry.isDirectory() ? (entry.name === 'build' ? [] : filesIn(path)) : [path]
  })
const sources = ['native', 'src/ops'].flatMap((folder) => filesIn(join(root, folder))).filter((name) => /\.[ch]pp$/.test(name))

/** the system's headers that a source includes, itself or by way of ours */
function headersOf(file: string, seen = new Set<string>()): Set<string> {
  if (seen.has(file)) return new Set()
  seen.add(file)
  const text = readFileSync(file, 'utf8')
  const found = new Set([...text.matchAll(/#include <([^>]+)>/g)].map(([, name]) => name!))
  for (const [, name] of text.matchAll(/#include "([^"]+)"/g)) {
    const path = [dirname(file), join(root, 'native')].map((folder) => join(folder, name!)).find(existsSync)
    if (path) for (const header of headersOf(path, seen)) found.add(header)
  }
  return found
}

it('native sources include what they use', () => {
  expect(sources.length).toBeGreaterThan(100)
  const missing = sources.flatMap((file) => {
    const code = readFileSync(file, 'utf8').replaceAll(/\/\/.*/g, '')
    const headers = headersOf(file)
    const names = new Set([...code.matchAll(/\bstd::([a-z_0-9]+)/g)].map(([, name]) => name!))
    return [...names]
      .filter((name) => headerOf.has(name) && !headers.has(headerOf.get(name)!))
      .map((name) => `${relative(root, file)}: std::${name} is <${headerOf.get(name)}>'s`)
  })
  expect(missing).toEqual([])
})
