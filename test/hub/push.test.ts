/** Uploads to a local server that speaks the Hub's protocol: what is sent, what isn't sent again, and every way it can go wrong. */
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { type PushOptions, pushFolder } from '../../src/hub/push.ts'
import { json, type PushHub, startPushHub } from './push-server.ts'

let hub: PushHub
let folder: string
const at = (path: string) => join(folder, path)
const large = (seed: number) => Buffer.from(Float64Array.from({ length: 40_000 }, (_, i) => Math.sin(i * seed)).buffer)
const push = (options: PushOptions = {}, name = 'falconry/tiny') =>
  pushFolder(folder, name, { hubUrl: hub.url, token: 'hf_write', retryDelay: 5, ...options })
const sent = () =>
  hub.requests.filter((one) => /^(PUT|POST .*\/(commit|preupload))/.test(one)).map((one) => one.replace(/[0-9a-f]{64}/, 'OID'))
const files = (branch = 'main') => hub.repos.get('falconry/tiny')?.branches.get(branch)

beforeEach(async () => {
  hub = await startPushHub()
  folder = mkdtempSync(join(tmpdir(), 'saqr-push-'))
  writeFileSync(at('config.json'), '{"model_type": "llama"}')
  writeFileSync(at('model.safetensors'), large(1))
  mkdirSync(at('second'))
  writeFileSync(at('second/adapter.safetensors'), large(2))
  for (const path of ['checkpoint-5', '.cache', 'runs', 'mismatch']) {
    mkdirSync(at(path))
    writeFileSync(at(`${path}/model.safetensors`), large(3))
  }
  writeFileSync(at('x.mismatch.gguf'), 'x')
})
afterEach(async () => {
  await hub.close()
  rmSync(folder, { recursive: true })
})

it('makes the repository and one commit of all files but checkpoints, hidden ones and what failed', async () => {
  const seen: number[] = []
  const pushed = await push({ private: true, commitMessage: 'First', onProgress: ({ allDone }) => seen.push(allDone) })
  const paths = ['config.json', 'model.safetensors', 'second/adapter.safetensors']
  expect(pushed).toMatchObject({ repo: 'falconry/tiny', url: `${hub.url}/falconry/tiny`, files: paths, unchanged: [] })
  expect(pushed.commit).toMatch(/^abcdef/)
  expect([...files()!.keys()].sort()).toEqual(paths)
  expect(files()!.get('model.safetensors')).toEqual(large(1))
  expect(hub.repos.get('falconry/tiny')).toMatchObject({ visibility: 'private', commits: [{ title: 'First', paths }] })
  expect(Math.max(...seen)).toBeGreaterThan(600_000)
})

it('links are what they lead to, and one that leads back to a folder it is in is nothing', async () => {
  mkdirSync(at('third'))
  writeFileSync(at('third/notes.txt'), 'three')
  symlinkSync('../third', at('second/other'))
  symlinkSync('..', at('second/up'))
  const pushed = await push()
  const paths = ['config.json', 'model.safetensors', 'second/adapter.safetensors', 'second/other/notes.txt', 'third/notes.txt']
  expect(pushed.files).toEqual(paths)
})

it('what is there is not sent again: nothing of the same folder, one file of a changed one', async () => {
  await push()
  hub.requests.length = 0
  expect(await push()).toMatchObject({ commit: null, files: [], unchanged: { length: 3 } })
  expect(sent()).toEqual([])
  writeFileSync(at('config.json'), '{"model_type": "qwen2"}')
  expect(await push()).toMatchObject({ files: ['config.json'], unchanged: ['model.safetensors', 'second/adapter.safetensors'] })
  expect(sent()).toEqual(['POST /api/models/falconry/tiny/preupload/main', 'POST /api/models/falconry/tiny/commit/main'])
})

it('a connection that is cut: the next try sends what is missing, in one call or in the next', async () => {
  hub.cuts = [0, 1000]
  await push()
  expect(files()!.get('model.safetensors')).toEqual(large(1))
  expect(hub.repos.get('falconry/tiny')!.commits).toHaveLength(1)
  // the first file arrives, then nothing more does
  writeFileSync(at('model.safetensors'), large(4))
  writeFileSync(at('second/adapter.safetensors'), large(5))
  let puts = 0
  hub.intercept = (request) => {
    const cut = request.method === 'PUT' && ++puts > 1
    if (cut) request.socket.destroy()
    return cut
  }
  await expect(push()).rejects.toMatchObject({ code: 'HUB_OFFLINE', message: expect.stringContaining('the same command again goes on') })
  hub.intercept = undefined
  hub.requests.length = 0
  await push()
  expect(sent().filter((one) => one.startsWith('PUT'))).toHaveLength(1)
})

it.each(['falconry/tiny', 'tiny'])('no connection at all, to %s: nothing was uploaded, and it is said so', async (name) => {
  hub.intercept = (request) => {
    request.socket.destroy()
    return true
  }
  await expect(push({ retryDelay: 1 }, name)).rejects.toMatchObject({
    code: 'HUB_OFFLINE',
    message: expect.stringMatching(/^No connection to \S+ for \S+ \(.+\)\. Nothing was uploaded: check the network/),
  })
})

it('an address of the storage that is good no more is asked for anew', async () => {
  hub.storage = hub.url.replace('127.0.0.1', 'localhost')
  let refused = 0
  hub.intercept = (request, response) => request.url!.startsWith('/storage/') && refused++ === 0 && json(response, {}, 403)
  await push()
  expect(files()!.size).toBe(3)
  hub.intercept = (request, response) => request.url!.startsWith('/storage/') && json(response, {}, 403)
  writeFileSync(at('model.safetensors'), large(6))
  await expect(push()).rejects.toThrow(/storage \(localhost:\d+\) refused a file \(403\)/)
})

it('large files in parts', async () => {
  hub.chunk = 100_000
  await push()
  expect(files()!.get('model.safetensors')).toEqual(large(1))
  expect(sent().filter((one) => one.startsWith('PUT'))).toHaveLength(8)
})

it('a branch, patterns, one file, a name without its owner', async () => {
  await push({ revision: 'v2', include: ['**/*.safetensors'], exclude: ['second/**'] })
  expect([...files('v2')!.keys()]).toEqual(['model.safetensors'])
  expect(files()!.size).toBe(0)
  const pushed = await pushFolder(at('config.json'), 'mine', { hubUrl: hub.url, token: 'hf_write' })
  expect(pushed).toMatchObject({ repo: 'falconer/mine', files: ['config.json'] })
  await expect(push({ include: ['*.gguf'] })).rejects.toThrow('include and exclude leave nothing')
  await expect(push({ revision: 'c0ffee'.padEnd(40, '0') })).rejects.toThrow('is a commit, which nothing can be added to')
  await expect(push({}, 'not a name')).rejects.toMatchObject({ code: 'HUB_NAME' })
  await expect(pushFolder(at('nowhere'), 'a/b', { hubUrl: hub.url, token: 'hf_write' })).rejects.toThrow('nowhere does not exist')
})

it.each([
  [401, '/api/repos/create', 'HUB_TOKEN', /does not accept the access token\. It says: because\. Make a new one that may write/],
  [403, '/api/repos/create', 'HUB_FORBIDDEN', /may not write to falconry\/tiny\. It says: because\./],
  [403, '/commit/', 'HUB_FORBIDDEN', /may not write/],
  [404, '/preupload/', 'HUB_NOT_FOUND', /knows no falconry\/tiny/],
  [409, '/commit/', 'HUB_CONFLICT', /has changed meanwhile/],
  [413, '/commit/', 'HUB_SERVER', /takes no file as large/],
  [400, '/commit/', 'HUB_SERVER', /refused the request \(400\) for the upload of falconry\/tiny\. It says: because\./],
  [429, '/objects/batch', 'HUB_RATE_LIMIT', /refuses more requests for now/],
  [500, '/storage/', 'HUB_SERVER', /problem of its own \(500\)/],
  [503, '/commit/', 'HUB_SERVER', /problem of its own \(503\)/],
])('%i to %s is %s', async (status, path, code, message) => {
  hub.intercept = (request, response) => request.url!.includes(path) && json(response, { error: 'because.' }, status)
  await expect(push({ retryDelay: 1 })).rejects.toMatchObject({ code, message: expect.stringMatching(message) })
  expect(hub.repos.get('falconry/tiny')?.commits ?? []).toEqual([])
})

it.each([429, 502])('%i once is tried again', async (status) => {
  const failed = new Set<string>()
  hub.intercept = (request, response) => {
    const kind = request.url!.replace(/[0-9a-f]{40,}/, '')
    if (failed.has(kind)) return false
    failed.add(kind)
    return json(response, {}, status)
  }
  // each try gets one request further, in a row of seven
  for (let i = 0; i < 3 && !files()?.size; i++) await push().catch(() => {})
  expect(files()!.size).toBe(3)
})

it('without a token, offline, and aborted', async () => {
  const { HF_TOKEN, HF_HUB_OFFLINE, HF_HOME } = process.env
  try {
    delete process.env.HF_TOKEN
    process.env.HF_HOME = folder
    await expect(pushFolder(folder, 'a/b', { hubUrl: hub.url })).rejects.toMatchObject({
      code: 'HUB_TOKEN',
      message: expect.stringContaining('HF_TOKEN'),
    })
    process.env.HF_HUB_OFFLINE = '1'
    await expect(push()).rejects.toMatchObject({ code: 'HUB_OFFLINE' })
  } finally {
    for (const [name, value] of Object.entries({ HF_TOKEN, HF_HUB_OFFLINE, HF_HOME })) {
      if (value === undefined) delete process.env[name]
      else process.env[name] = value
    }
  }
  const stop = new AbortController()
  hub.intercept = (request) => {
    if (request.method === 'PUT') stop.abort(new Error('enough'))
    return false
  }
  await expect(push({ signal: stop.signal })).rejects.toThrow('enough')
  expect(hub.repos.get('falconry/tiny')!.commits).toEqual([])
})
