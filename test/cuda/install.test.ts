import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { installCuda } from '../../src/cli/install-cuda.ts'
import { doctor } from '../../src/cli/verbs/doctor.ts'
import { type InstallRequest, install, installation } from '../../src/devices/cuda/install.ts'
import { candidates, fileName, openDriver } from '../../src/devices/cuda/libraries.ts'
import { RELEASES } from '../../src/devices/cuda/wheels.ts'
import { makeFolder } from '../../src/hub/files.ts'
import { commandLine } from '../cli/saqr.ts'
import { type Index, LIBRARIES, startIndex } from './index-server.ts'

let folder: string
let index: Index
let request: InstallRequest
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'saqr-install-'))
  index = await startIndex()
  request = { index: index.url, cache: folder, releases: [index.release], platform: 'here', retryDelay: 1 }
})
afterEach(async () => {
  await index.close()
  rmSync(folder, { recursive: true })
  vi.unstubAllEnvs()
})

const run = (more: InstallRequest = {}) => install(installation(13, { ...request, ...more }), { ...request, ...more })
/** everything below the cache */
const files = () =>
  readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1))
    .sort()
const installed = ['libcublasLt.so.13', 'libnvrtc-builtins.so.13.0', 'libnvrtc.so.13'].map((name) => `cuda-libraries/13.0.0/${name}`)
const licences = ['nvidia-cublas', 'nvidia-cuda-nvrtc'].map((name) => `cuda-libraries/13.0.0/${name}-License.txt`)

describe('install', () => {
  it('leaves the libraries and the licences, and nothing else of the wheels, wherever they want to lie', async () => {
    const seen: number[] = []
    await run({ onProgress: ({ allDone }) => seen.push(allDone) })
    expect(files()).toEqual([...installed, ...licences].sort())
    expect(readFileSync(join(folder, installed[2]!), 'utf8')).toBe(LIBRARIES['nvidia-cuda-nvrtc']![0]!.content)
    expect(existsSync(join(folder, '..', 'evil'))).toBe(false)
    expect(existsSync('/tmp/libevil.so.13')).toBe(false)
    expect(seen.at(-1)).toBe(index.release.wheels.here!.reduce((sum, { bytes }) => sum + bytes, 0))
    expect(installation(13, request).done).toBe(true)
  })

  it('goes on where a connection broke, in the same run and in the next', async () => {
    index.cuts.push(5000)
    await run()
    expect(index.requests).toContain('/files/nvidia_cuda_nvrtc-13.0.0-py3-none-any.whl bytes=5000-')
    rmSync(join(folder, 'cuda-libraries'), { recursive: true })

    index.cuts.push(7000)
    const stop = new AbortController()
    const onProgress = ({ done }: { done: number }) => done >= 7000 && stop.abort(new DOMException('Ctrl-C', 'AbortError'))
    await expect(run({ signal: stop.signal, onProgress })).rejects.toThrow('Ctrl-C')
    expect(files()).toEqual([expect.stringMatching(/downloads\/.*\.incomplete$/)])
    await run()
    expect(index.requests).toContain('/files/nvidia_cuda_nvrtc-13.0.0-py3-none-any.whl bytes=7000-')
    expect(files()).toEqual([...installed, ...licences].sort())
  })

  it('begins anew where the server knows no ranges', async () => {
    index.whole = true
    index.cuts.push(5000)
    await run()
    expect(files()).toEqual([...installed, ...licences].sort())
  })

  it.each<[string, RegExp, () => unknown]>([
    ['another content than the pinned one', /arrived damaged twice: its hash is not [0-9a-f]{64}/, () => (index.damaged = true)],
    ['nobody there', /No connection to http.*ECONNREFUSED/, async () => await index.close()],
    [
      'an index with another file of that name',
      /lists another nvidia_cuda_nvrtc.* than the one saqr knows/,
      () =>
        (index.intercept = (_, response) => {
          const { file } = index.release.wheels.here![0]!
          response.end(JSON.stringify({ files: [{ filename: file, url: 'x', hashes: { sha256: '0'.repeat(64) } }] }))
          return true
        }),
    ],
    [
      'an index without it',
      /lists no nvidia_cuda_nvrtc/,
      () =>
        (index.intercept = (_, response) => {
          response.end('<html>')
          return true
        }),
    ],
    [
      'a refusal',
      /answered 404/,
      () =>
        (index.intercept = (_, response) => {
          response.writeHead(404).end()
          return true
        }),
    ],
  ])('tells %s by one error and leaves nothing in place', async (_, message, arrange) => {
    await arrange()
    await expect(run()).rejects.toMatchObject({ code: 'DEVICE_CUDA_INSTALL', message: expect.stringMatching(message) })
    expect(existsSync(join(folder, 'cuda-libraries/13.0.0'))).toBe(false)
  })

  it('asks again where a server has a problem of its own', async () => {
    let times = 0
    index.intercept = (_, response) => {
      if (times++ > 1) return false
      response.writeHead(503).end()
      return true
    }
    await run()
    expect(files()).toHaveLength(5)
  })

  it('refuses wheels that hold something else than is pinned, and leaves nothing in place', async () => {
    await index.close()
    const { 'nvidia-cublas': cublas } = LIBRARIES
    index = await startIndex({ 'nvidia-cublas': [{ name: 'nvidia/cu13/lib/libcublas2.so', content: 'x' }, ...cublas!] })
    request = { ...request, index: index.url, releases: [index.release] }
    await expect(run()).rejects.toMatchObject({ code: 'DEVICE_CUDA_INSTALL', message: expect.stringMatching(/other libraries/) })
    expect(existsSync(join(folder, 'cuda-libraries/13.0.0'))).toBe(false)
  })

  it('tells a disk without room before it fetches', async () => {
    const [wheel] = index.release.wheels.here!
    const releases = [{ ...index.release, wheels: { here: [{ ...wheel!, kept: 2 ** 60 }] } }]
    await expect(run({ releases })).rejects.toMatchObject({ code: 'FORMAT_DISK_FULL', message: expect.stringMatching(/free; .* takes/) })
    expect(index.requests).toEqual([])
  })

  it('says where there is nothing for a platform or a driver', () => {
    const nothing = (message: RegExp) => expect.objectContaining({ code: 'DEVICE_CUDA_INSTALL', message: expect.stringMatching(message) })
    expect(() => installation(13, { platform: 'darwin-arm64' })).toThrow(nothing(/for darwin-arm64; there are for linux-x64/))
    expect(() => installation(11)).toThrow(nothing(/for CUDA 11; there are for CUDA 13, 12/))
    expect(installation(14, { platform: 'linux-x64' }).release.major).toBe(13)
  })
})

it('what is pinned is one library of each kind for every platform', () => {
  for (const { major, wheels } of RELEASES)
    for (const list of Object.values(wheels)) {
      expect(list.map((wheel) => wheel.package.replace(/-cu12$/, ''))).toEqual(['nvidia-cuda-nvrtc', 'nvidia-cublas'])
      for (const wheel of list) {
        expect(wheel.sha256).toMatch(/^[0-9a-f]{64}$/)
        expect(wheel.file).toContain(`-${wheel.version}-`)
        expect(wheel.package.endsWith('-cu12')).toBe(major === 12)
      }
    }
  expect(fileName('nvrtc', 13, 'win32')).toBe('nvrtc64_130_0.dll')
  expect(fileName('cublasLt', 12, 'win32')).toBe('cublasLt64_12.dll')
})

it('what was installed is found after CUDA_HOME and before the Python environment', async () => {
  const [release] = RELEASES
  const real = installation(13, { cache: join(folder, 'saqr'), platform: 'linux-x64' })
  expect(real.release).toBe(release)
  const python = join(folder, 'venv/lib/python3.12/site-packages/nvidia/cu13/lib')
  for (const [there, file] of [
    [real.folder, fileName('nvrtc', 13)],
    [python, fileName('nvrtc', 13)],
    [join(folder, 'toolkit/lib64'), fileName('nvrtc', 13)],
  ] as const) {
    makeFolder(there)
    writeFileSync(join(there, file), '')
  }
  vi.stubEnv('XDG_CACHE_HOME', folder)
  vi.stubEnv('VIRTUAL_ENV', join(folder, 'venv'))
  vi.stubEnv('CUDA_HOME', join(folder, 'toolkit'))
  const here = candidates('nvrtc').filter((path) => path.startsWith(folder))
  expect(here.map((path) => path.slice(folder.length + 1).split('/')[0])).toEqual(['toolkit', 'saqr', 'venv'])
})

function existsDriver(): boolean {
  try {
    return openDriver() !== undefined
  } catch {
    return false
  }
}

describe('doctor --install_cuda', () => {
  const talk = (answer?: string) => {
    const said = { err: '', asked: '' }
    const stream = { isTTY: false, columns: 100, write: (text: string) => void (said.err += text) }
    const ask = async (question: string) => {
      said.asked += question
      return answer!
    }
    return { said, io: { out: stream, err: stream, signal: new AbortController().signal, ask: answer === undefined ? undefined : ask } }
  }

  it('shows what, from where, how large, where to and under which licence, and asks', async () => {
    const { said, io } = talk('')
    expect(await installCuda(13, false, io, request)).toBe(false)
    expect(said.err).toMatch(/CUDA 13\.0\.0, for drivers of CUDA 13 and later, from http:\/\/127/)
    expect(said.err).toMatch(/nvidia-cublas 13\.0\.0 .* MB\n/)
    expect(said.err).toMatch(/MB to fetch; .* MB in .*cuda-libraries\/13\.0\.0\n/)
    expect(said.err).toMatch(/License Agreement: https:\/\/docs\.nvidia\.com/)
    expect(said.asked).toMatch(/\[y\/N\] $/)
    expect(said.err).toMatch(/Nothing was fetched\.\n$/)
    expect(index.requests).toEqual([])
  })

  it.each([['y'], ['Yes']])('fetches after %s', async (answer) => {
    const { said, io } = talk(answer)
    expect(await installCuda(13, false, io, request)).toBe(true)
    expect(said.err).toMatch(/Installed in .*13\.0\.0\n$/)
    expect(files()).toHaveLength(5)
    expect(await installCuda(13, false, io, request)).toBe(true)
    expect(said.err).toMatch(/Nothing to install: .* is there already\.\n$/)
  })

  it('refuses where nobody can answer, unless it is told yes', async () => {
    const { io } = talk()
    await expect(installCuda(13, false, io, request)).rejects.toMatchObject({ code: 'DEVICE_CUDA_INSTALL', option: 'yes' })
    expect(index.requests).toEqual([])
    expect(await installCuda(13, true, io, request)).toBe(true)
  })

  it('stopped amid a download: nothing is in place, and that it goes on is said', async () => {
    const { said, io } = talk('y')
    const stop = new AbortController()
    index.intercept = (call, response) => {
      if (!call.url!.startsWith('/files/')) return false
      response.write('PK')
      setTimeout(() => stop.abort(new DOMException('stopped by SIGINT', 'AbortError')), 50)
      return true
    }
    await expect(installCuda(13, false, { ...io, signal: stop.signal }, request)).rejects.toThrow('stopped by SIGINT')
    expect(said.err).toMatch(/Nothing was installed\. What was fetched is kept, and the same command goes on from there\.\n$/)
    expect(existsSync(join(folder, 'cuda-libraries/13.0.0'))).toBe(false)
  })

  it('takes no other number, and says what is missing without a driver', async () => {
    const saqr = commandLine({ doctor })
    expect((await saqr('doctor', '--install_cuda', '11')).err).toMatch(/OPTION_INVALID: --install_cuda: expected nothing, or 12 or 13/)
    const { code, err } = await saqr('doctor', '--install_cuda', '--no_probe')
    if (code === 0) expect(err).toMatch(/^Nothing to install/)
    else if (existsDriver()) expect(err).toMatch(/nobody can answer here/)
    else expect(err).toMatch(/DEVICE_CUDA_INSTALL: Nothing was fetched: there is no NVIDIA driver.*--install_cuda 13/)
  })
})
