/** Files that take another's place while somebody has it open, as on Windows, or another name where there are no links; and each system's folder of caches. */
import { lstatSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { describe, expect, it, vi } from 'vitest'
import { linkOrCopy, move } from '../../src/hub/move.ts'
import { cacheFolder, homeFolder, hubPlaces } from '../../src/hub/places.ts'

/** a rename that is refused some times first */
function refusing(times: number, code: string) {
  const calls: string[] = []
  const rename = (from: unknown, to: unknown) => {
    calls.push(`${from} ${to}`)
    if (calls.length <= times) throw Object.assign(new Error(code), { code })
  }
  return { calls, rename }
}

describe('move', () => {
  it('tries again on Windows while the file is open', () => {
    const { calls, rename } = refusing(3, 'EPERM')
    move('a', 'b', rename, 'win32')
    expect(calls).toEqual(['a b', 'a b', 'a b', 'a b'])
  })

  it('gives up in the end, and at once elsewhere or where waiting can’t help', () => {
    expect(() => move('a', 'b', refusing(Infinity, 'EBUSY').rename, 'win32')).toThrow('EBUSY')
    for (const [code, platform] of [
      ['EPERM', 'linux'],
      ['ENOENT', 'win32'],
    ] as const) {
      const { calls, rename } = refusing(1, code)
      expect(() => move('a', 'b', rename, platform)).toThrow(code)
      expect(calls).toHaveLength(1)
    }
  })
})

describe('another name of a file', () => {
  const inFolder = (test: (blob: string, name: string) => void) => {
    const folder = mkdtempSync(join(tmpdir(), 'saqr-link-'))
    try {
      for (const name of ['blobs', 'snapshot']) mkdirSync(join(folder, name))
      writeFileSync(join(folder, 'blobs/1'), 'weights')
      test(join(folder, 'blobs/1'), join(folder, 'snapshot/model'))
    } finally {
      rmSync(folder, { recursive: true })
    }
  }
  const without = (code: string) => () => {
    throw Object.assign(new Error(code), { code })
  }

  it('is a relative link', () =>
    inFolder((blob, name) => {
      linkOrCopy(blob, name)
      expect(readlinkSync(name)).toBe(join('..', 'blobs', '1'))
    }))

  it('is a copy where there are no links, in whatever words', () => {
    for (const code of ['EPERM', 'EISDIR', 'ENOSYS', 'ENOTSUP', 'EINVAL'])
      inFolder((blob, name) => {
        linkOrCopy(blob, name, without(code))
        expect(lstatSync(name).isSymbolicLink()).toBe(false)
        expect(readFileSync(name, 'utf8')).toBe('weights')
      })
  })

  it('that can’t be made whole has no name by which it would count, and leaves nothing', () =>
    inFolder((blob, name) => {
      rmSync(blob)
      expect(() => linkOrCopy(blob, name, without('EPERM'))).toThrow(/ENOENT/)
      writeFileSync(blob, 'weights')
      linkOrCopy(blob, name, without('EPERM'))
      expect(readdirSync(dirname(name))).toEqual(['model'])
    }))

  it('is refused where the name is taken, or neither can be made', () =>
    inFolder((blob, name) => {
      writeFileSync(name, 'another')
      expect(() => linkOrCopy(blob, name)).toThrow(/EEXIST/)
      expect(readFileSync(name, 'utf8')).toBe('another')
      expect(() => linkOrCopy(blob, join(name, 'below'), without('EPERM'))).toThrow(/ENOTDIR/)
    }))
})

describe('the folder of caches', () => {
  const of = (env: Record<string, string>, platform: string) => cacheFolder(env, platform, join('/home', 'me'))
  it('is each system’s own', () => {
    expect(of({}, 'linux')).toBe(join('/home', 'me', '.cache', 'saqr'))
    expect(of({}, 'darwin')).toBe(join('/home', 'me', 'Library', 'Caches', 'saqr'))
    expect(of({ LOCALAPPDATA: join('/local') }, 'win32')).toBe(join('/local', 'saqr', 'Cache'))
    expect(of({}, 'win32')).toBe(join('/home', 'me', 'AppData', 'Local', 'saqr', 'Cache'))
  })

  it('without a home is refused, but where it is said', () => {
    const nobody = () => {
      throw new Error('uv_os_homedir returned ENOENT (no such file or directory)')
    }
    expect(() => homeFolder(nobody)).toThrow(
      /^No home folder is known \(\w+: it isn't set, and the system has no user.*\)\. Set \w+, or .* XDG_CACHE_HOME/,
    )
    expect(() => homeFolder(() => '')).toThrow(expect.objectContaining({ code: 'HUB_HOME' }))
    for (const name of ['HOME', 'USERPROFILE']) vi.stubEnv(name, '')
    try {
      expect(() => cacheFolder({}, 'linux')).toThrow(expect.objectContaining({ code: 'HUB_HOME' }))
      expect(() => hubPlaces({}, {})).toThrow(expect.objectContaining({ code: 'HUB_HOME' }))
      expect(cacheFolder({ XDG_CACHE_HOME: '/cache' })).toBe(join('/cache', 'saqr'))
      expect(hubPlaces({}, { HF_HUB_CACHE: '/hub' })).toMatchObject({ cacheDir: '/hub', token: undefined })
    } finally {
      vi.unstubAllEnvs()
    }
  })

  it('is where XDG_CACHE_HOME says on all of them', () => {
    for (const system of ['linux', 'darwin', 'win32']) expect(of({ XDG_CACHE_HOME: '/cache' }, system)).toBe(join('/cache', 'saqr'))
  })
})
