import { lstatSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { hostname, tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { resolveModel } from '../../src/hub/model.ts'
import { type HubWait, hubPlaces } from '../../src/hub/places.ts'
import { commit, type FakeHub, type FakeRepo, gitHash, problem, sha256, startHub } from './server.ts'

const weights = Buffer.alloc(300_000, 'saqr')
const model: FakeRepo = {
  files: {
    'config.json': '{"model_type":"llama"}',
    'tokenizer.json': '{}',
    'README.md': '# a model',
    'pytorch_model.bin': 'pickle',
    'model.safetensors': weights,
    'additional_chat_templates/tools.jinja': '{{ x }}',
  },
  lfs: ['model.safetensors', 'pytorch_model.bin'],
}
const sharded: FakeRepo = {
  files: {
    'config.json': '{}',
    'model.safetensors.index.json': JSON.stringify({
      weight_map: { a: 'model-00001-of-00002.safetensors', b: 'model-00002-of-00002.safetensors' },
    }),
    'model-00001-of-00002.safetensors': 'one',
    'model-00002-of-00002.safetensors': 'two',
    'consolidated.safetensors': 'not needed',
  },
}

let hub: FakeHub
let cacheDir: string

beforeEach(async () => {
  cacheDir = mkdtempSync(join(tmpdir(), 'saqr-hub-'))
  hub = await startHub({
    'owner/model': model,
    'owner/sharded': sharded,
    'owner/moonlight': { files: { 'config.json': '{}', 'tiktoken.model': 'YQ== 0', 'model.safetensors': weights } },
    'owner/both': { files: { 'config.json': '{}', 'tiktoken.model': 'YQ== 0', 'tokenizer.json': '{}', 'model.safetensors': weights } },
    'owner/pickle': { files: { 'config.json': '{}', 'pytorch_model.bin': 'pickle' } },
    'owner/quants': { files: { 'm.Q4_0.gguf': 'GGUF4', 'm.Q8_0.gguf': 'GGUF8' } },
    'owner/adapter': {
      files: { 'adapter_config.json': '{}', 'adapter_model.safetensors': 'lora', 'config.json': '{}', 'optimizer.pt': 'no' },
    },
    'owner/escape': { files: { '../../evil': 'x' } },
  })
})

afterEach(async () => {
  await hub.close()
  rmSync(cacheDir, { recursive: true, force: true })
})

const options = (more = {}) => ({ cacheDir, hubUrl: hub.url, retryDelay: 1, offline: false, ...more })
const blobs = () => join(cacheDir, 'models--owner--model', 'blobs')

describe('a name on the Hub', () => {
  test('lands in the layout that Python shares, with only the files that are needed', async () => {
    const found = await resolveModel('owner/model', options())
    const folder = join(cacheDir, 'models--owner--model', 'snapshots', commit)
    expect(found).toMatchObject({ kind: 'model', path: folder, id: 'owner/model', commit })
    expect(readdirSync(folder).sort()).toEqual(['additional_chat_templates', 'config.json', 'model.safetensors', 'tokenizer.json'])
    expect(readFileSync(join(cacheDir, 'models--owner--model', 'refs', 'main'), 'utf8')).toBe(commit)
    expect(readFileSync(join(folder, 'model.safetensors')).equals(weights)).toBe(true)
    expect(lstatSync(join(folder, 'config.json')).isSymbolicLink()).toBe(true)
    expect(readlinkSync(join(folder, 'config.json'))).toBe(`../../blobs/${gitHash('{"model_type":"llama"}')}`)
    expect(realpathSync(join(folder, 'model.safetensors'))).toBe(realpathSync(join(blobs(), sha256(weights))))
    expect(readdirSync(blobs()).filter((name) => name.includes('incomplete'))).toEqual([])
  })

  test.each([
    ['owner/moonlight', ['config.json', 'model.safetensors', 'tiktoken.model']],
    ['owner/both', ['config.json', 'model.safetensors', 'tokenizer.json']],
  ])('%s: tiktoken.model is needed where there is no tokenizer.json', async (name, files) => {
    const { path } = await resolveModel(name, options())
    expect(readdirSync(path).sort()).toEqual(files)
  })

  test('is not fetched twice', async () => {
    await resolveModel('owner/model', options())
    hub.requests.length = 0
    await resolveModel('owner/model', options())
    expect(hub.requests.filter((request) => request.includes('/resolve/'))).toEqual([])
  })

  test('reports bytes as they come, up to all of them', async () => {
    const seen: { allDone: number; allTotal: number }[] = []
    await resolveModel('owner/model', options({ onProgress: (p: { allDone: number; allTotal: number }) => seen.push(p) }))
    expect(seen.every(({ allDone, allTotal }) => allDone <= allTotal)).toBe(true)
    expect(seen.at(-1)!.allDone).toBe(seen.at(-1)!.allTotal)
  })

  test('of shards: those the index names and no others', async () => {
    const { path } = await resolveModel('owner/sharded', options())
    expect(
      readdirSync(path)
        .filter((name) => name.endsWith('.safetensors'))
        .sort(),
    ).toEqual(['model-00001-of-00002.safetensors', 'model-00002-of-00002.safetensors'])
  })

  test('of an adapter, of one GGUF file among several', async () => {
    expect(await resolveModel('owner/adapter', options())).toMatchObject({ kind: 'adapter' })
    const gguf = await resolveModel('owner/quants/m.Q8_0.gguf', options())
    expect(gguf.kind).toBe('gguf')
    expect(readFileSync(gguf.path, 'utf8')).toBe('GGUF8')
    await expect(resolveModel('owner/quants', options())).rejects.toMatchObject({
      code: 'HUB_NO_WEIGHTS',
      message: expect.stringContaining('m.Q4_0.gguf'),
    })
  })

  test('with pickles only, or with names that lead out of the folder, is refused', async () => {
    await expect(resolveModel('owner/pickle', options())).rejects.toMatchObject({
      code: 'HUB_NO_WEIGHTS',
      message: expect.stringContaining('pytorch_model.bin'),
    })
    await expect(resolveModel('owner/escape', options())).rejects.toMatchObject({ code: 'HUB_NAME' })
  })
})

describe('a broken download', () => {
  test('goes on where it was cut, within one run', async () => {
    hub.cuts = [100_000, 50_000]
    const { path } = await resolveModel('owner/model', options({ onProgress: undefined }))
    expect(readFileSync(join(path, 'model.safetensors')).equals(weights)).toBe(true)
    const ranges = hub.requests.filter((request) => request.includes('model.safetensors bytes=') && !request.includes('bytes=0-0'))
    expect(ranges.length).toBeGreaterThan(0)
    expect(ranges.every((request) => Number(/bytes=(\d+)/.exec(request)![1]) > 0)).toBe(true)
  })

  test('goes on in the next run, taking over what a dead process left', async () => {
    // a process id beyond what the system gives out
    const left = join(blobs(), `${sha256(weights)}.${hostname()}-99999999.incomplete`)
    mkdirSync(blobs(), { recursive: true })
    writeFileSync(left, weights.subarray(0, 123_456))
    await resolveModel('owner/model', options())
    expect(hub.requests.some((request) => request.endsWith(`model.safetensors bytes=123456-${weights.length - 1}`))).toBe(true)
    expect(readdirSync(blobs()).filter((name) => name.includes('incomplete'))).toEqual([])
  })

  test('that was of other bytes is noticed and fetched afresh', async () => {
    mkdirSync(blobs(), { recursive: true })
    writeFileSync(join(blobs(), `${sha256(weights)}.${hostname()}-99999999.incomplete`), Buffer.alloc(1000, 'other'))
    const { path } = await resolveModel('owner/model', options())
    expect(readFileSync(join(path, 'model.safetensors')).equals(weights)).toBe(true)
  })

  test('gives up after five cuts without progress and keeps what came', async () => {
    hub.cuts = [100_000, 0, 0, 0, 0, 0, 0]
    await expect(resolveModel('owner/model', options())).rejects.toMatchObject({ code: 'HUB_OFFLINE' })
    expect(readdirSync(blobs()).some((name) => name.endsWith('.incomplete'))).toBe(true)
    hub.cuts = []
    await resolveModel('owner/model', options())
  })

  test('stops at once when aborted', async () => {
    const controller = new AbortController()
    hub.intercept = (request, response) => {
      if (!request.url!.includes('model.safetensors') || request.headers.range === 'bytes=0-0') return false
      response.writeHead(200, { 'content-length': weights.length })
      response.write(weights.subarray(0, 1000), () => controller.abort(new Error('enough')))
      return true
    }
    await expect(resolveModel('owner/model', options({ signal: controller.signal }))).rejects.toThrow('enough')
  })
})

describe('failures by name', () => {
  const cases: [string, number, string | undefined, string, Record<string, string>][] = [
    ['401 without a token', 401, 'RepoNotFound', 'HUB_NOT_FOUND', {}],
    ['401 with a bad token', 401, undefined, 'HUB_TOKEN', { token: 'hf_bad' }],
    ['403 gated', 403, 'GatedRepo', 'HUB_GATED', {}],
    ['403', 403, undefined, 'HUB_FORBIDDEN', {}],
    ['404', 404, 'RepoNotFound', 'HUB_NOT_FOUND', {}],
    ['404 revision', 404, 'RevisionNotFound', 'HUB_REVISION', {}],
    ['429', 429, undefined, 'HUB_RATE_LIMIT', {}],
    ['503', 503, undefined, 'HUB_SERVER', {}],
  ]
  test.each(cases)('%s', async (_, status, kind, code, more) => {
    hub.intercept = (_request, response) => {
      problem(response, status, kind)
      return true
    }
    await expect(resolveModel('owner/model', options(more))).rejects.toMatchObject({ name: 'SaqrError', code })
    // only what may pass by itself is tried again
    expect(hub.requests.length).toBe(status === 429 || status === 503 ? 5 : 1)
  })

  test('a server that comes back is waited for', async () => {
    let refusals = 3
    hub.intercept = (_request, response) => {
      if (refusals-- <= 0) return false
      problem(response, 503)
      return true
    }
    await expect(resolveModel('owner/model', options())).resolves.toMatchObject({ kind: 'model' })
  })

  test('bytes that are not what was promised', async () => {
    hub.intercept = (request, response) => {
      if (!request.url!.includes('/resolve/') || !request.url!.includes('config.json')) return false
      const content = '{"model_type":"other"}'
      response.writeHead(206, { etag: '"x"', 'content-range': `bytes 0-0/${content.length}`, 'content-length': content.length })
      response.end(content)
      return true
    }
    await expect(resolveModel('owner/model', options())).rejects.toMatchObject({ code: 'HUB_CORRUPT' })
  })

  test('names that are neither', async () => {
    await expect(resolveModel('./nowhere', options())).rejects.toMatchObject({ code: 'FORMAT_NOT_FOUND' })
    await expect(resolveModel('a/b/c', options())).rejects.toMatchObject({ code: 'FORMAT_NOT_FOUND' })
    for (const path of ['m.gguf', 'owner/m.gguf', './m.gguf', '../m', 'weights.safetensors'])
      await expect(resolveModel(path, options())).rejects.toMatchObject({ code: 'FORMAT_NOT_FOUND' })
    await expect(resolveModel('owner/../x', options())).rejects.toMatchObject({ code: 'FORMAT_NOT_FOUND' })
    await expect(resolveModel('owner/model', options({ revision: '../x' }))).rejects.toMatchObject({ code: 'HUB_NAME' })
    await expect(resolveModel('owner/model', options({ token: 'secret' }))).rejects.toMatchObject({ code: 'HUB_TOKEN' })
  })
})

describe('without a connection', () => {
  test('the cache is used, and said so where the Hub was tried', async () => {
    const online = await resolveModel('owner/model', options())
    await hub.close()
    expect(await resolveModel('owner/model', options({ offline: true }))).toMatchObject({ path: online.path, note: undefined })
    const fallen = await resolveModel('owner/model', options())
    expect(fallen.path).toBe(online.path)
    expect(fallen.note).toContain('No connection')
  })

  test('what is not cached is named, with what to do', async () => {
    await expect(resolveModel('owner/model', options({ offline: true }))).rejects.toMatchObject({ code: 'HUB_NOT_CACHED' })
    const { path } = await resolveModel('owner/sharded', options())
    rmSync(join(path, 'model-00002-of-00002.safetensors'))
    await expect(resolveModel('owner/sharded', options({ offline: true }))).rejects.toMatchObject({
      code: 'HUB_NOT_CACHED',
      message: expect.stringContaining('model-00002-of-00002.safetensors'),
    })
  })

  test('a name that is nearly that of something here is told so', async () => {
    // the tests run in the project's folder
    await expect(resolveModel('exampels', options({ offline: true }))).rejects.toMatchObject({
      code: 'HUB_NOT_CACHED',
      message: expect.stringMatching(/There is no exampels here either; did you mean examples\?$/),
    })
  })

  test('and without a cache it is the connection that is blamed, and named for what', async () => {
    await hub.close()
    await expect(resolveModel('owner/model', options())).rejects.toMatchObject({
      code: 'HUB_OFFLINE',
      message: `No connection to ${hub.url} for the model owner/model (ECONNREFUSED). Check the network, or give a local folder (owner/model is none).`,
    })
  })

  describe('that is broken in one way or another', () => {
    let asked = 0
    const broken = (code: string, from = 0) => {
      const { fetch } = globalThis
      vi.stubGlobal('fetch', async (...args: Parameters<typeof fetch>) => {
        if (asked++ < from) return fetch(...args)
        throw new TypeError('fetch failed', { cause: Object.assign(new Error(code), { code }) })
      })
    }
    beforeEach(() => {
      asked = 0
    })
    afterEach(() => {
      vi.unstubAllGlobals()
    })

    test.each([
      ['ENOTFOUND', 1],
      ['EAI_AGAIN', 2],
      ['ECONNREFUSED', 2],
      ['ECONNRESET', 5],
    ])('%s: a host is asked %i times, one whose name nobody knows not again; what is waited for is told', async (code, times) => {
      broken(code)
      const waits: HubWait[] = []
      const onWait = (wait: HubWait) => void waits.push(wait)
      await expect(resolveModel('owner/model', options({ onWait }))).rejects.toMatchObject({ message: expect.stringContaining(code) })
      expect(asked).toBe(times)
      expect(waits.map(({ left }) => left)).toEqual(Array.from({ length: times - 1 }, (_, i) => times - 1 - i))
      for (const { why } of waits) expect(why).toContain(`No connection to ${hub.url} for the model owner/model (${code})`)
    })

    test('a host that has answered is asked again for a file, whatever became of its name', async () => {
      const before = hub.requests.length
      broken('ENOTFOUND', 2) // the description, the list of files
      await expect(resolveModel('owner/quants/m.Q4_0.gguf', options())).rejects.toMatchObject({ code: 'HUB_OFFLINE' })
      expect([hub.requests.length - before, asked]).toEqual([2, 7])
    })
  })
})

describe('paths', () => {
  test('are told apart by what is there', async () => {
    const folder = join(cacheDir, 'local')
    mkdirSync(folder)
    await expect(resolveModel(folder)).rejects.toMatchObject({ code: 'FORMAT_NOT_A_MODEL' })
    writeFileSync(join(folder, 'config.json'), '{}')
    expect(await resolveModel(folder)).toEqual({ kind: 'model', path: folder })
    writeFileSync(join(folder, 'adapter_config.json'), '{}')
    expect(await resolveModel(folder)).toEqual({ kind: 'adapter', path: folder })
    writeFileSync(join(folder, 'm.gguf'), '')
    expect(await resolveModel(join(folder, 'm.gguf'))).toEqual({ kind: 'gguf', path: join(folder, 'm.gguf') })
  })
})

describe('places', () => {
  test('are read as huggingface_hub reads them', () => {
    const at = (env: Record<string, string>) => hubPlaces({}, { HF_TOKEN_PATH: '/nowhere', ...env })
    expect(at({ HF_HOME: '/h' }).cacheDir).toBe('/h/hub')
    expect(at({ XDG_CACHE_HOME: '/x' }).cacheDir).toBe('/x/huggingface/hub')
    expect(at({ HF_HOME: '/h', HUGGINGFACE_HUB_CACHE: '/old', HF_HUB_CACHE: '$A/new', A: '/a' }).cacheDir).toBe('/a/new')
    expect(at({ HF_HUB_OFFLINE: 'yes' }).offline).toBe(true)
    expect(at({ HF_HUB_OFFLINE: '0', TRANSFORMERS_OFFLINE: '1' }).offline).toBe(false)
    expect(at({ TRANSFORMERS_OFFLINE: '1' }).offline).toBe(true)
    expect(at({ HF_TOKEN: ' hf_a \n' }).token).toBe('hf_a')
    expect(at({ HF_TOKEN: 'hf_a', HF_HUB_DISABLE_IMPLICIT_TOKEN: '1' }).token).toBeUndefined()
    expect(at({ HF_ENDPOINT: 'http://mirror/' }).hubUrl).toBe('http://mirror')
  })
})
