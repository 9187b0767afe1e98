// What the ops declare, as C++: native/build/attrs/<folder>.hpp holds a struct for each op with attributes, abi.hpp a number made of all
// of them, which the TypeScript side makes too: a library of other attributes is never run.
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import '../tools/op-lists.mjs' // a clean clone has none yet
import '../tools/ts.mjs'

const root = dirname(dirname(fileURLToPath(import.meta.url)))

const TYPES = { real: 'double', whole: 'int64_t', word: 'uint32_t', flag: 'bool', dtype: 'DType' }
const FROM = {
  real: (x) => x,
  flag: (x) => `${x} != 0`,
  whole: (x) => `static_cast<int64_t>(${x})`,
  word: (x) => `static_cast<uint32_t>(${x})`,
  dtype: (x) => `static_cast<DType>(static_cast<int32_t>(${x}))`,
}

function struct({ name, attrs }) {
  const fields = Object.entries(attrs)
  const members = fields.map(([field, { kind }]) => `  ${TYPES[kind]} ${field};`)
  const values = fields.map(([field, { kind }], i) => `${field}(${FROM[kind](`step.attrs[${i}]`)})`)
  return `struct ${name} {\n${members.join('\n')}\n  explicit ${name}(const Step& step) : ${values.join(', ')} {}\n};\n`
}

/** another process may read it at any moment: it is there whole, or as it was */
export function writeIfNew(path, text) {
  if (existsSync(path) && readFileSync(path, 'utf8') === text) return
  writeFileSync(`${path}.${process.pid}`, text)
  renameSync(`${path}.${process.pid}`, path)
}

export async function writeAttrs(folder) {
  const ops = join(root, 'src/ops')
  mkdirSync(join(folder, 'attrs'), { recursive: true })
  const written = new Set(['abi.hpp'])
  for (const name of readdirSync(ops)) {
    if (!existsSync(join(ops, name, 'op.ts')) || !existsSync(join(ops, name, 'cpu.cpp'))) continue
    const declared = Object.values(await import(`../src/ops/${name}/op.ts`)).filter(
      (x) => x?.attrs && x.outputs && Object.keys(x.attrs).length,
    )
    if (declared.length === 0) continue
    const text = `// what src/ops/${name}/op.ts declares\n#pragma once\n#include "saqr.hpp"\n\nnamespace saqr::attrs {\n\n${declared.map(struct).join('\n')}\n}  // namespace saqr::attrs\n`
    writeIfNew(join(folder, 'attrs', `${name}.hpp`), text)
    written.add(`${name}.hpp`)
  }
  for (const file of readdirSync(join(folder, 'attrs')))
    if (file.endsWith('.hpp') && !written.has(file)) rmSync(join(folder, 'attrs', file))
  const { abiOf } = await import('../src/ops/attrs.ts')
  const { ops: all } = await import('../src/ops/generated/ops.ts')
  writeIfNew(join(folder, 'attrs', 'abi.hpp'), `// of what all ops declare\n#pragma once\nconstexpr int kAbi = ${abiOf(all)};\n`)
}
