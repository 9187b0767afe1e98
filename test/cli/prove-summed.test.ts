/** saqr prove asks TRL a second time, the sum of its log-softmax added in f64: when, and what comes of it. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { compare } from '../../src/cli/prove/compare.ts'
import { proofPage } from '../../src/cli/prove/page.ts'
import type { Recipe } from '../../src/cli/prove/recipe.ts'
import type { SaqrSide } from '../../src/cli/prove/saqr-side.ts'
import { EXACT_SUM, maySumExplain, summedExactly } from '../../src/cli/prove/summed.ts'
import type { TrlRequest, TrlSide } from '../../src/cli/prove/trl-side.ts'
import type { Io } from '../../src/cli/verb.ts'
import { facts, folder, sides } from './proof-sides.ts'

afterAll(() => rmSync(folder, { recursive: true }))

describe('TRL’s second run', () => {
  it('is asked for where that sum may be all that is wrong', () => {
    const { trl, saqr } = sides({ values: (values) => void values.set(values.map((x) => x * (1 + 3e-4))) })
    const asks = (other: Partial<SaqrSide> = {}, vocab = 49152, theirs: Partial<TrlSide> = {}) =>
      maySumExplain(compare(trl, { ...saqr, ...other }, facts), { ...trl, ...theirs }, vocab)
    expect(asks()).toBe(true)
    expect(maySumExplain(compare(trl, sides().saqr, facts), trl, 49152)).toBe(false)
    // losses that have no such sum (sft, dpo, kto), and what half precision rounds, it explains in nothing
    expect([asks({}, 49152, { logSoftmax: false }), asks({}, 49152, { half: true })]).toEqual([false, false])
    // rows, rates and tensors have no sums; of a loss it explains V/4 roundings of its size
    expect(asks({ rates: saqr.rates.with(6, 3.1e-4) })).toBe(false)
    const off = (by: number) => ({ losses: saqr.losses.map((loss) => loss * (1 + by)) })
    expect([asks(off(5e-4)), asks(off(5e-4), 512), asks(off(2e-3))]).toEqual([true, false, false])
  })

  const slight = (values: Float32Array) => void values.set(values.map((x, i) => x * (1 + (i % 2 ? 3e-4 : -3e-4))))
  const apart = sides({ values: slight, end: (values) => void values.set(values.map((x, k) => x + (k % 3 ? 2e-3 : -2e-3))) }).saqr
  const io: Io & { said: string } = {
    said: '',
    out: { isTTY: false, columns: 80, write: () => {} },
    err: { isTTY: false, columns: 80, write: (text) => void (io.said += text) },
    signal: new AbortController().signal,
  }
  const request = (python: string) => {
    const work = mkdtempSync(join(folder, 'summed-'))
    const recipe = { kind: 'orpo', path: 'run.yaml', env: {} } as Recipe
    return { recipe, python, steps: 8, work: join(work, 'work'), log: join(work, 'trl-summed.log'), cpu: true, threads: 2, io }
  }

  it.each([
    ['losses', { losses: apart.losses.map((loss) => loss * (1 + 5e-4)) }, ['loss']],
    ['gradients', { gradients: apart.gradients, gradientFile: apart.gradientFile }, ['gradients']],
    ['weights', { end: apart.end }, ['weights']],
  ] as const)('holds by TRL’s second run where its first is off by that sum: %s', async (_, off, failed) => {
    const { trl, saqr } = sides()
    const plain = { ...trl, ...off }
    const first = compare(plain, saqr, facts)
    expect(first.checks.filter(({ passed }) => !passed).map(({ name }) => name)).toEqual(failed)
    const exact: TrlSide = { ...trl, ends: trl.ends.map((end) => 9 * end), memory: { host: 9e9, card: null } }
    const asked: TrlRequest[] = []
    const run = async (request: TrlRequest) => {
      asked.push(request)
      return exact
    }
    const proof = await summedExactly(first, { trl: plain, saqr, facts }, request('python'), run)
    expect(proof).toMatchObject({ passed: true, inF32: [EXACT_SUM, expect.stringContaining('speed and memory of the one before')] })
    expect(asked).toMatchObject([{ exactSoftmax: true, python: 'python' }])
    // that sum's own run is slower, and holds more
    expect(proof.trl).toEqual(first.trl)
    // what is off in the exact run too is off
    const still = await summedExactly(first, { trl: plain, saqr, facts }, request('python'), async () => ({ ...exact, ...off }))
    expect(still.checks).toEqual(first.checks)
  })

  it.runIf(process.platform !== 'win32')('keeps the first proof where TRL can’t run again, and says so', async () => {
    const { trl, saqr } = sides()
    const plain = { ...trl, gradients: apart.gradients, gradientFile: apart.gradientFile }
    const first = compare(plain, saqr, facts)
    const python = join(folder, 'python-once')
    writeFileSync(python, '#!/bin/sh\ncase "$*" in *--exact-softmax*) echo "no falcon here" >&2; exit 1;; esac\n', { mode: 0o755 })
    const asked = request(python)
    const proof = await summedExactly(first, { trl: plain, saqr, facts }, asked)
    expect(proof).toEqual({ ...first, passed: false, inF32: [expect.stringContaining('could not be run again')] })
    expect(proofPage(proof)).toMatch(/Parity fails.*could not be run again .*trl-summed\.log says why/s)
    expect([io.said, readFileSync(asked.log, 'utf8')]).toEqual([`saqr: ${proof.inF32[0]}\n`, '\nno falcon here\n'])
    // without a program there is no log
    const none = await summedExactly(first, { trl: plain, saqr, facts }, request(join(folder, 'no-python')))
    expect(none.inF32[0]).toMatch(/there is no .*no-python/)
    const stopped = { ...request(python), io: { ...io, signal: AbortSignal.abort(new DOMException('stopped', 'AbortError')) } }
    await expect(summedExactly(first, { trl: plain, saqr, facts }, stopped)).rejects.toThrow('stopped')
  })
})
