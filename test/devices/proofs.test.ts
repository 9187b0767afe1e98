/** What ran where is kept whole, also where several recordings end in the same instant; what a suite's page says of each file. */
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

interface Result {
  file: string
  commit: string
  result: string
  passed: number
  failed: number
  skipped: number
  seconds: number
  failures: string[]
}
type Page = (
  results: Result[],
  about: { runner: string; under: string; files: string[]; leftOut: Record<string, string>; on: string },
) => string
const { suitePage }: { suitePage: Page } = await import(join(root, 'tools/suite-record.mjs'))

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

it('a page of a suite names every file: passed, failed and of what, not run, left out', () => {
  const result = (file: string, failures: string[] = []): Result => {
    const failed = failures.length
    return { file, commit: 'c1', result: failed > 0 ? 'failed' : 'passed', passed: 3, failed, skipped: 1, seconds: 5, failures }
  }
  const about = { runner: 'r', under: 'QEMU 7', files: ['a', 'b', 'c'], leftOut: { d: 'no card' }, on: 'today' }
  const results = [result('a'), result('b', ['sums: 1 is not 2\n  at b:1'])]
  expect(suitePage(results, about).split('\n')).toEqual([
    '$ node tools/platforms.mjs suite r --record      the files of npm test, each by itself, here or where --pack took them, QEMU 7; today, commit c1',
    '1 of 3 files passed, 1 left out, 1 not run; tests: 6 passed, 1 failed, 2 skipped; 10 s in all',
    '',
    'result   passed  failed skipped seconds  file',
    'passed        3       0       1       5  a',
    'failed        3       1       1       5  b',
    'not run  c',
    '',
    'what failed',
    'b: sums: 1 is not 2',
    '',
    'left out',
    'd: no card',
    '',
  ])
  // results of two commits: which of them each is of
  const both = suitePage([results[0]!, { ...results[1]!, commit: 'c2' }], about)
  for (const part of ['commit c1, c2\n', '10 s in all; put together of 2 commits: none of them ran whole\n', '  a  (c1)\n', '  b  (c2)\n'])
    expect(both).toContain(part)
})
