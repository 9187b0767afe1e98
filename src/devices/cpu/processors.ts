/** Processors that this process may use: the affinity mask it was given, and the quota of its control group (a container's --cpus). */
import { readFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'

export interface Processors {
  /** that the affinity mask has */
  allowed: number
  /** processors' worth of time; null: no quota */
  quota: number | null
}

/** @param read a file's text, null where there is none */
export function processors(read = fileText, allowed = availableParallelism()): Processors {
  return { allowed, quota: quotaOf(read) }
}

/** As many threads as can run at once: one at the least. A quota's remainder would halt all of them now and then. */
export function usualThreads({ allowed, quota }: Processors): number {
  return Math.max(1, Math.min(allowed, Math.floor(quota ?? allowed)))
}

/** "2 threads", and what is odd about that number here. */
export function threadsText(threads: number, { allowed, quota }: Processors): string {
  const text = threads === 1 ? '1 thread' : `${threads} threads`
  if (threads > allowed) return `${text} on ${allowed} processor${allowed === 1 ? '' : 's'}: more than can run at once`
  if (quota !== null && threads > quota) return `${text} within a quota of ${quota.toFixed(2)} processors: halted now and then`
  return text
}

/**
 * What a run's threads share beyond their number, a line each: processors left out by the affinity mask, a quota, NUMA nodes.
 * Nothing where all processors may be used and lie on one node, or where the system doesn't tell (not Linux).
 */
export function placeLines(read = fileText): string[] {
  const mask = /^Cpus_allowed_list:\s*(\S+)$/m.exec(read('/proc/self/status') ?? '')?.[1]
  const online = read('/sys/devices/system/cpu/online')?.trim()
  if (!mask || !online) return []
  const all = numbersOf(online)
  const allowed = numbersOf(mask).filter((p) => all.includes(p))
  const lines: string[] = []
  if (allowed.length < all.length) lines.push(`processors ${listOf(allowed)} of ${listOf(all)} (affinity mask)`)
  const quota = quotaOf(read)
  if (quota !== null) lines.push(`a quota of ${quota.toFixed(2)} processors (control group)`)
  const nodes = numbersOf(read('/sys/devices/system/node/online')?.trim() ?? '')
    .map((node) => ({
      node,
      own: numbersOf(read(`/sys/devices/system/node/node${node}/cpulist`)?.trim() ?? '').filter((p) => allowed.includes(p)),
    }))
    .filter(({ own }) => own.length > 0)
  if (nodes.length > 1) {
    const each = nodes.map(({ node, own }) => `${node} has ${listOf(own)}`).join(', ')
    lines.push(`${nodes.length} NUMA nodes (${each}): threads are bound to none, and each reads the others' memory too`)
    lines.push(`to keep a run on one: numactl --cpunodebind=${nodes[0]!.node} --membind=${nodes[0]!.node} saqr …`)
  }
  return lines
}

/** "0-2,5" as numbers, ascending; and back */
function numbersOf(list: string): number[] {
  return list
    .split(',')
    .filter((part) => part !== '')
    .flatMap((part) => {
      const [from, to = from] = part.split('-').map(Number)
      return Array.from({ length: to! - from! + 1 }, (_, i) => from! + i)
    })
}
function listOf(numbers: readonly number[]): string {
  const runs: [number, number][] = []
  for (const n of numbers) {
    const last = runs.at(-1)
    if (last && last[1] === n - 1) last[1] = n
    else runs.push([n, n])
  }
  return runs.map(([from, to]) => (from === to ? `${from}` : `${from}-${to}`)).join(',')
}

/** A mounted tree of control groups: what lies at `root` in the tree lies at `at` here. */
interface Tree {
  root: string
  at: string
}

/** The smallest quota of the group and those around it (cgroup v2: cpu.max; v1: cpu.cfs_quota_us). */
function quotaOf(read: (path: string) => string | null): number | null {
  const quotas: number[] = []
  for (const line of (read('/proc/self/cgroup') ?? '').split('\n')) {
    const [, controllers, path] = /^\d+:([^:]*):(.*)$/.exec(line) ?? []
    if (path === undefined) continue
    const v2 = controllers === ''
    if (!v2 && !controllers!.split(',').includes('cpu')) continue
    const { root, at: top } = treeOf(v2, path, read) ?? { root: '/', at: v2 ? '/sys/fs/cgroup' : `/sys/fs/cgroup/${controllers}` }
    const below = within(path, root) ? path.slice(root === '/' ? 0 : root.length) : ''
    // a group that lies outside what is mounted here shows as a path that isn't there: then its nearest visible parent counts
    for (let at = below; ; at = at.slice(0, at.lastIndexOf('/'))) {
      const folder = `${top}${at === '/' ? '' : at}`
      const [most, period] = v2
        ? (read(`${folder}/cpu.max`) ?? '').trim().split(' ')
        : [read(`${folder}/cpu.cfs_quota_us`)?.trim(), read(`${folder}/cpu.cfs_period_us`)?.trim()]
      if (Number(most) > 0 && Number(period) > 0) quotas.push(Number(most) / Number(period))
      if (at === '' || at === '/') break
    }
  }
  return quotas.length > 0 ? Math.min(...quotas) : null
}

/**
 * Where a group is seen, as the system says: a tree's folder needn't be called as /proc/self/cgroup names its controllers (cpuacct,cpu in
 * cpu,cpuacct on CentOS 7), and a tree may be mounted several times. Of the mounts that the group lies in it is that with the longest root,
 * else the first.
 */
function treeOf(v2: boolean, group: string, read: (path: string) => string | null): Tree | null {
  const trees: Tree[] = []
  for (const line of (read('/proc/self/mountinfo') ?? '').split('\n')) {
    const [mount = '', source = ''] = line.split(' - ')
    const [type, , options = ''] = source.split(' ')
    if (v2 ? type !== 'cgroup2' : type !== 'cgroup' || !options.split(',').includes('cpu')) continue
    const [root, at] = mount.split(' ').slice(3, 5).map(unescaped)
    if (root && at) trees.push({ root, at })
  }
  const around = trees.filter(({ root }) => within(group, root)).sort((a, b) => b.root.length - a.root.length)
  return around[0] ?? trees[0] ?? null
}

function within(path: string, root: string): boolean {
  return root === '/' || path === root || path.startsWith(`${root}/`)
}

/** mountinfo's space, tab, line feed and backslash, which are octal there: \040 */
function unescaped(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)))
}

function fileText(path: string): string | null {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return null
  }
}
