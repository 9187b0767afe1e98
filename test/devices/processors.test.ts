/** What a process may use: control groups of both versions, seen whole and from within a container; and what is said of the threads there. */
import { describe, expect, it } from 'vitest'
import { placeLines, processors, threadsText, usualThreads } from '../../src/devices/cpu/processors.ts'

const of = (files: Record<string, string>, allowed = 8) => processors((path) => files[path] ?? null, allowed)

describe('processors', () => {
  it('are those of the affinity mask without a quota', () => {
    expect(of({ '/proc/self/cgroup': '0::/user.slice\n', '/sys/fs/cgroup/user.slice/cpu.max': 'max 100000\n' })).toEqual({
      allowed: 8,
      quota: null,
    })
    expect(usualThreads(of({}))).toBe(8)
  })
  it('are cut by the smallest quota of the group and its parents', () => {
    const files = {
      '/proc/self/cgroup': '0::/a/b\n',
      '/sys/fs/cgroup/a/b/cpu.max': '350000 100000\n',
      '/sys/fs/cgroup/a/cpu.max': '250000 100000\n',
    }
    expect(of(files).quota).toBe(2.5)
    expect(usualThreads(of(files))).toBe(2)
  })
  it('are read at the root where the group is the container’s own, or lies outside what is seen', () => {
    expect(of({ '/proc/self/cgroup': '0::/\n', '/sys/fs/cgroup/cpu.max': '50000 100000\n' }).quota).toBe(0.5)
    expect(of({ '/proc/self/cgroup': '0::/../other\n', '/sys/fs/cgroup/cpu.max': '300000 100000\n' }).quota).toBe(3)
  })
  it('are those of version 1', () => {
    const group = '/sys/fs/cgroup/cpu,cpuacct/docker/1'
    const files = { '/proc/self/cgroup': '5:memory:/x\n3:cpu,cpuacct:/docker/1\n', [`${group}/cpu.cfs_period_us`]: '100000\n' }
    expect(of({ ...files, [`${group}/cpu.cfs_quota_us`]: '-1\n' }).quota).toBeNull()
    expect(of({ ...files, [`${group}/cpu.cfs_quota_us`]: '400000\n' }).quota).toBe(4)
  })
  it('are read where the system says that a tree is mounted: CentOS 7 names its controllers in another order', () => {
    const files = {
      '/proc/self/cgroup': '8:cpuacct,cpu:/docker/1/own\n7:memory:/docker/1/own\n',
      '/proc/self/mountinfo': [
        '29 24 0:25 / /sys/fs/cgroup ro,nosuid - tmpfs tmpfs ro,mode=755',
        '34 29 0:30 /docker/1 /sys/fs/cgroup/memory ro,nosuid - cgroup cgroup rw,memory',
        '35 29 0:31 /docker/1 /sys/fs/cgroup/cpu,cpuacct ro,nosuid master:9 - cgroup cgroup rw,cpuacct,cpu',
      ].join('\n'),
      '/sys/fs/cgroup/cpu,cpuacct/own/cpu.cfs_period_us': '100000\n',
      '/sys/fs/cgroup/cpu,cpuacct/own/cpu.cfs_quota_us': '765000\n',
      '/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us': '100000\n',
      '/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us': '800000\n',
    }
    expect(of(files, 96)).toEqual({ allowed: 96, quota: 7.65 })
    expect(usualThreads(of(files, 96))).toBe(7)
    // the group is the mounted one itself
    expect(of({ ...files, '/proc/self/cgroup': '8:cpuacct,cpu:/docker/1\n' }).quota).toBe(8)
  })
  it('are read of version 2 beside version 1, and of a tree mounted elsewhere', () => {
    const files = {
      '/proc/self/cgroup': '1:name=systemd:/\n0::/a\n',
      '/proc/self/mountinfo': '41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n',
      '/sys/fs/cgroup/unified/a/cpu.max': '150000 100000\n',
    }
    expect(of(files).quota).toBe(1.5)
  })
  it('are read in that mount of a tree which the group lies in, however many there are', () => {
    const mount = (root: string, at: string) => `41 31 0:38 ${root} ${at} rw - cgroup2 cgroup2 rw`
    const [other, whole, inner] = [mount('/other', '/host/cg'), mount('/', '/sys/fs/cgroup'), mount('/a', '/inner')]
    const files = (group: string, mounts: string[], quotas: Record<string, string>) => ({
      '/proc/self/cgroup': `0::${group}\n`,
      '/proc/self/mountinfo': mounts.join('\n'),
      ...quotas,
    })
    const quotas = {
      '/sys/fs/cgroup/a/b/cpu.max': '150000 100000\n',
      '/inner/b/cpu.max': '250000 100000\n',
      '/host/cg/cpu.max': '300000 100000\n',
    }
    expect(of(files('/a/b', [other, whole], quotas)).quota).toBe(1.5)
    for (const mounts of [
      [other, whole, inner],
      [inner, whole],
    ])
      expect(of(files('/a/b', mounts, quotas)).quota).toBe(2.5)
    // /ab isn't within /a
    expect(of(files('/ab', [inner, whole], { '/sys/fs/cgroup/ab/cpu.max': '350000 100000\n' })).quota).toBe(3.5)
    // within none: the first, as seen from outside
    expect(of(files('/elsewhere', [other, inner], quotas)).quota).toBe(3)
  })
  it('are read where a mount’s name has spaces, which the system writes as octal numbers', () => {
    const files = {
      '/proc/self/cgroup': '0::/my group/own\n',
      '/proc/self/mountinfo': '41 31 0:38 /my\\040group /my\\040groups\\134here rw - cgroup2 cgroup2 rw\n',
      '/my groups\\here/own/cpu.max': '150000 100000\n',
    }
    expect(of(files).quota).toBe(1.5)
  })
})

describe('threads', () => {
  it('are one at the least, and what is odd is said', () => {
    expect(usualThreads({ allowed: 4, quota: 0.5 })).toBe(1)
    expect(threadsText(1, { allowed: 4, quota: 0.5 })).toBe('1 thread within a quota of 0.50 processors: halted now and then')
    expect(threadsText(4, { allowed: 2, quota: null })).toBe('4 threads on 2 processors: more than can run at once')
    expect(threadsText(2, { allowed: 4, quota: 2 })).toBe('2 threads')
  })
})

describe('where threads run', () => {
  const lines = (files: Record<string, string>) => placeLines((path) => files[path] ?? null)
  const whole = {
    '/proc/self/status': 'Name:\tnode\nCpus_allowed:\tff\nCpus_allowed_list:\t0-7\n',
    '/sys/devices/system/cpu/online': '0-7\n',
    '/sys/devices/system/node/online': '0\n',
    '/sys/devices/system/node/node0/cpulist': '0-7\n',
  }
  it('is not worth a word on one node with all processors, or where the system tells nothing', () => {
    expect(lines(whole)).toEqual([])
    expect(lines({})).toEqual([])
  })
  it('is told with a mask and a quota', () => {
    const files = {
      ...whole,
      '/proc/self/status': 'Cpus_allowed_list:\t0,2-3\n',
      '/proc/self/cgroup': '0::/a\n',
      '/sys/fs/cgroup/a/cpu.max': '150000 100000\n',
    }
    expect(lines(files)).toEqual(['processors 0,2-3 of 0-7 (affinity mask)', 'a quota of 1.50 processors (control group)'])
  })
  it('is told where the processors lie on several NUMA nodes, and how to stay on one', () => {
    const nodes = {
      '/sys/devices/system/node/online': '0-1\n',
      '/sys/devices/system/node/node0/cpulist': '0-3\n',
      '/sys/devices/system/node/node1/cpulist': '4-7\n',
    }
    expect(lines({ ...whole, ...nodes })).toEqual([
      "2 NUMA nodes (0 has 0-3, 1 has 4-7): threads are bound to none, and each reads the others' memory too",
      'to keep a run on one: numactl --cpunodebind=0 --membind=0 saqr …',
    ])
    expect(lines({ ...whole, ...nodes, '/proc/self/status': 'Cpus_allowed_list:\t4-7\n' })).toEqual([
      'processors 4-7 of 0-7 (affinity mask)',
    ])
  })
})
