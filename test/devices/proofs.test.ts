/** What ran where is kept whole, also where several recordings end in the same instant. */
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Worker } from 'node:worker_threads'
import { afterAll, expect, it } from 'vitest'
import { PROOFS, type Proof } from '../../src/devices/proofs.ts'
import { lockFolder } from '../../src/train/lock.ts'

const root = join(import.meta.dirname, '../..')
type Keep = (proof: Proof, place: { file: string; lock: string }, lock: typeof lockFolder) => void
const { keep }: { keep: Keep } = await import(join(root, 'tools/proof-list.mjs'))

const folder = mkdtempSync(join(tmpdir(), 'saqr-proofs-'))
afterAll(() => rmSync(folder, { recursive: true }))
const place = { file: join(folder, 'proofs.ts'), lock: join(folder, 'lock') }
const begin = () => copyFileSync(join(root, 'src/devices/proofs.ts'), place.file)
const runtimes = () => [...readFileSync(place.file, 'utf8').matchAll(/runtime: '(.*)'/g)].map(([, name]) => name!)

it('keeps what another one records meanwhile', async () => {
  begin()
  mkdirSync(place.lock)
  lockFolder(place.lock)
  // one that has read the list, and takes a while before it writes it with what it adds and gives the lock back
  const other = new Worker(
    `const { readFileSync, rmSync, writeFileSync } = require('node:fs')
    const { file, lock } = require('node:worker_threads').workerData
    const text = readFileSync(file, 'utf8')
    require('node:worker_threads').parentPort.postMessage('has read')
    setTimeout(() => {
      writeFileSync(file, text.replace('readonly Proof[] = [', "$& { platform: 'p', what: 'product', variant: 'v', runtime: 'another' },"))
      rmSync(lock + '/.saqr-lock')
    }, 100)`,
    { eval: true, workerData: place },
  )
  const ended = new Promise((resolve) => other.once('exit', resolve))
  await new Promise((resolve) => other.once('message', resolve))
  keep({ ...PROOFS[0]!, runtime: 'this one' }, place, lockFolder)
  await ended
  expect(runtimes().sort()).toEqual([...PROOFS.map(({ runtime }) => runtime), 'another', 'this one'].sort())
})

it('of the same platform, variant and runtime the newest alone', () => {
  begin()
  const known = PROOFS.find(({ runtime }) => runtime.startsWith('Node 24.'))!
  keep({ ...known, runtime: 'Node 24.99.0', ops: 7 }, place, lockFolder)
  expect(runtimes()).toHaveLength(PROOFS.length)
  expect(readFileSync(place.file, 'utf8')).toContain("runtime: 'Node 24.99.0',\n    ops: 7,")
})
