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

/** The smallest quota of the group and those around it (cgroup v2: cpu.max; v1: cpu.cfs_quota_us). */
function quotaOf(read: (path: string) => string | null): number | null {
  const quotas: number[] = []
  for (const line of (read('/proc/self/cgroup') ?? '').split('\n')) {
    const [, controllers, path] = /^\d+:([^:]*):(.*)$/.exec(line) ?? []
    if (path === undefined) continue
    const v2 = controllers === ''
    if (!v2 && !controllers!.split(',').includes('cpu')) continue
    const root = v2 ? '/sys/fs/cgroup' : `/sys/fs/cgroup/${controllers}`
    // a group that lies outside what is mounted here shows as a path that isn't there: then its nearest visible parent counts
    for (let at = path; ; at = at.slice(0, at.lastIndexOf('/'))) {
      const folder = `${root}${at === '/' ? '' : at}`
      const [most, period] = v2
        ? (read(`${folder}/cpu.max`) ?? '').trim().split(' ')
        : [read(`${folder}/cpu.cfs_quota_us`)?.trim(), read(`${folder}/cpu.cfs_period_us`)?.trim()]
      if (Number(most) > 0 && Number(period) > 0) quotas.push(Number(most) / Number(period))
      if (at === '' || at === '/') break
    }
  }
  return quotas.length > 0 ? Math.min(...quotas) : null
}

function fileText(path: string): string | null {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return null
  }
}
