/** Kills a run twenty times, and looks at the files that are left in the end. */
import { type ChildProcess, spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { afterAll, expect } from 'vitest'

const fixtures = join(import.meta.dirname, '../fixtures')
/** by trainer: the folder of its model, its rows in there */
const RUNS = { SFTTrainer: ['training/linear-warmup', 'train.jsonl'], DPOTrainer: ['preference', 'pairs.jsonl'] } as const
export type Kind = keyof typeof RUNS
const STEPS = 40
const work = mkdtempSync(join(tmpdir(), 'saqr-resume-'))
afterAll(() => rmSync(work, { recursive: true, force: true }))

function start(kind: Kind, outputDir: string): ChildProcess {
  const [folder, rows] = RUNS[kind]
  const given = [join(fixtures, folder), outputDir, String(STEPS), kind, rows]
  return spawn(process.execPath, [join(import.meta.dirname, 'child.mjs'), ...given], { stdio: ['ignore', 'pipe', 'inherit'] })
}

const ended = (child: ChildProcess) => new Promise<number | null>((done) => child.once('exit', (code) => done(code)))

/** SHA-256 of every file of the last checkpoint and of the saved adapter */
function hashes(outputDir: string): Record<string, string> {
  const result: Record<string, string> = {}
  for (const folder of [`checkpoint-${STEPS}`, 'final']) {
    for (const name of readdirSync(join(outputDir, folder)).sort()) {
      result[`${folder}/${name}`] = createHash('sha256')
        .update(readFileSync(join(outputDir, folder, name)))
        .digest('hex')
    }
  }
  return result
}

/** kills the process once `when` says so, or lets it end */
async function killWhen(child: ChildProcess, when: () => boolean): Promise<boolean> {
  let exited = false
  const exit = ended(child).then(() => {
    exited = true
  })
  while (!exited) {
    if (when()) {
      child.kill('SIGKILL')
      await exit
      return true
    }
    // without taking the processor from the run: a checkpoint is half written for several of these
    await wait(1)
  }
  return false
}

/** after SIGKILL at fifteen instants and at five while a checkpoint is being written: the same files to the byte as of a run that nobody killed */
export async function killed(kind: Kind): Promise<void> {
  const whole = join(work, `${kind}-whole`)
  expect(await ended(start(kind, whole))).toBe(0)
  const expected = hashes(whole)
  const outputDir = join(work, `${kind}-killed`)
  let writing = 0
  for (let kills = 0; kills < 20; kills++) {
    const child = start(kind, outputDir)
    const inWriting = kills % 4 === 3
    const steps = 1 + (kills % 3)
    let seen = 0
    let at = Number.POSITIVE_INFINITY
    child.stdout!.on('data', (text: Buffer) => {
      seen += text.toString().split('\n').length - 1
      // somewhere within the next step, a few milliseconds long
      if (seen >= steps && at === Number.POSITIVE_INFINITY) at = performance.now() + 7 * Math.random()
    })
    const halfWritten = () =>
      existsSync(outputDir) && readdirSync(outputDir).some((name) => !/^checkpoint-\d+$|^reference_scores/.test(name))
    const killed = await killWhen(child, () => (inWriting ? seen >= 1 && halfWritten() : performance.now() >= at))
    if (killed && inWriting) writing++
    if (!killed) break // it was done before
  }
  expect(writing).toBeGreaterThanOrEqual(5)
  expect(await ended(start(kind, outputDir))).toBe(0)
  expect(hashes(outputDir)).toEqual(expected)
}
