/** A package index on 127.0.0.1 with one release of made-up wheels, and on request what goes wrong with real ones. */
import { createHash } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Release, Wheel } from '../../src/devices/cuda/wheels.ts'
import { type Entry, zip } from '../formats/zip-writer.ts'

export const LIBRARIES: Record<string, Entry[]> = {
  'nvidia-cuda-nvrtc': [
    { name: 'nvidia/cu13/lib/libnvrtc.so.13', content: 'nvrtc '.repeat(3000), method: 0 },
    { name: 'nvidia/cu13/lib/libnvrtc-builtins.so.13.0', content: 'builtins' },
    { name: 'nvidia_cuda_nvrtc-13.0.0.dist-info/licenses/License.txt', content: 'a licence' },
  ],
  'nvidia-cublas': [
    { name: 'nvidia/cu13/lib/libcublasLt.so.13', content: 'cublasLt '.repeat(3000), method: 0 },
    { name: 'nvidia_cublas-13.0.0.dist-info/License.txt', content: 'a licence, too' },
  ],
}
/** beside them in an archive, and never unpacked */
export const OTHERS: Entry[] = [
  { name: 'nvidia/cu13/lib/libnvrtc.alt.so.13', content: 'alt' },
  { name: 'nvidia/cu13/lib/libcublas.so.13', content: 'blas' },
  { name: 'nvidia/cu13/include/nvrtc.h', content: 'header' },
  { name: '../../evil', content: 'evil' },
  { name: '/tmp/libevil.so.13', content: 'evil' },
  { name: '../libnvrtc.so.13', content: 'evil' },
  { name: 'nvidia/cu13/lib/..', content: 'evil' },
]

export interface Index {
  url: string
  release: Release
  requests: string[]
  /** bytes of a wheel after which the connection is cut, once for each */
  cuts: number[]
  /** the server knows no ranges */
  whole: boolean
  /** sent instead of the wheels */
  damaged: boolean
  intercept?: (request: IncomingMessage, response: ServerResponse) => boolean
  close(): Promise<void>
}

export async function startIndex(libraries: Record<string, Entry[]> = LIBRARIES): Promise<Index> {
  const files = new Map<string, Buffer>()
  const wheels: Wheel[] = Object.entries(libraries).map(([name, entries]) => {
    const file = `${name.replaceAll('-', '_')}-13.0.0-py3-none-any.whl`
    const bytes = zip([...OTHERS, ...entries])
    files.set(file, bytes)
    const kept = entries.reduce((sum, { content }) => sum + content.length, 0)
    return { package: name, version: '13.0.0', file, bytes: bytes.length, kept, sha256: sha256(bytes) }
  })
  const index: Index = {
    url: '',
    release: { version: '13.0.0', major: 13, wheels: { here: wheels } },
    requests: [],
    cuts: [],
    whole: false,
    damaged: false,
    close: async () => {},
  }
  const server = createServer((request, response) => {
    const { range } = request.headers
    index.requests.push(`${request.url}${range ? ` ${range}` : ''}`)
    if (index.intercept?.(request, response)) return
    const [, kind, name] = request.url!.split('/')
    if (kind === 'simple') {
      const own = wheels.filter((wheel) => wheel.package === name)
      const listed = own.map((w) => ({ filename: w.file, url: `../../files/${w.file}`, hashes: { sha256: w.sha256 }, size: w.bytes }))
      response.setHeader('content-type', request.headers.accept!)
      return response.end(JSON.stringify({ files: listed }))
    }
    const bytes = index.damaged ? Buffer.alloc(files.get(name!)!.length) : files.get(name!)!
    const from = index.whole ? 0 : Number(/bytes=(\d+)-/.exec(range ?? '')?.[1] ?? 0)
    response.writeHead(from > 0 ? 206 : 200, { 'content-length': bytes.length - from })
    const cut = index.cuts.shift()
    if (cut === undefined) return response.end(bytes.subarray(from))
    return response.write(bytes.subarray(from, from + cut), () => setTimeout(() => response.destroy(), 20))
  })
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  index.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/simple`
  index.close = async () => {
    server.closeAllConnections()
    await new Promise((done) => server.close(done))
  }
  return index
}

const sha256 = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex')
