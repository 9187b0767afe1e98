/** saqr prove without Python: what is compared, the page, and what is refused before TRL is asked. TRL itself: test/live/prove.live.ts. */
import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { compare } from '../../src/cli/prove/compare.ts'
import { proofPage } from '../../src/cli/prove/page.ts'
import { type KeptTensor, readIndex, seenRow } from '../../src/cli/prove/recorded.ts'
import { COUNTED, tolerancesOf } from '../../src/cli/prove/tolerances.ts'
import { facts, failing, folder, NAMES, sides } from './proof-sides.ts'

afterAll(() => rmSync(folder, { recursive: true }))

describe('a comparison', () => {
  it('of two sides that did the same holds', () => {
    const { trl, saqr } = sides()
    const proof = compare(trl, saqr, facts)
    expect(proof).toMatchObject({ passed: true, steps: 8, arithmetic: 'f32', timed: { from: 4, to: 8 }, tokens: 40 })
    // 5 tokens a step of 2 s and of half a second, steps 4 to 8
    expect(proof.trl).toMatchObject({ tokensPerSecond: 2.5, secondsPerStep: 2, fullRunSeconds: 200 })
    expect(proof.saqr).toMatchObject({ tokensPerSecond: 10, secondsPerStep: 0.5, fullRunSeconds: 50 })
    expect(proof.gradients.map(({ difference }) => difference)).toEqual([0, 0])
    expect(JSON.parse(JSON.stringify(proof))).toEqual(proof)
  })

  it('fails where a loss is further off than its step allows, and where it is no number', () => {
    const { trl, saqr } = sides()
    const off = (by: number) => failing({ trl, saqr: { ...saqr, losses: saqr.losses.map((loss, i) => (i === 3 ? loss + by : loss)) } })
    const allowed = tolerancesOf('f32', { ...saqr, leastMoved: Number.POSITIVE_INFINITY, tensors: 2 }).loss.value * 2 * 2.6
    expect(off(0.99 * allowed)).toEqual([])
    expect(off(1.01 * allowed)).toEqual([expect.stringMatching(/^loss: .* step 4, /)])
    expect(off(Number.NaN)).toEqual(['loss: saqr’s loss of step 4 is no number'])
    const none = trl.losses.map((loss, i) => (i < 2 ? loss : Number.NaN))
    expect(failing({ trl: { ...trl, losses: none }, saqr })).toEqual([
      expect.stringMatching(/^loss: TRL’s loss of step 3 is no number: .*max_length/),
    ])
    expect(failing({ trl, saqr: { ...saqr, losses: saqr.losses.slice(0, 7) } })).toEqual(['loss: TRL made 8 steps, saqr 7'])
  })

  it('fails where a gradient is further off than its step allows, and names the tensor', () => {
    const { whole, gradient, later } = tolerancesOf('f32', { layers: 2, longestSum: 64, leastMoved: Number.POSITIVE_INFINITY, tensors: 2 })
    const scaled = (by: number) => (values: Float32Array) => void values.set(values.map((x) => x * (1 + by)))
    expect(failing(sides({ values: scaled(0.9 * whole.value) }))).toEqual([])
    expect(failing(sides({ values: scaled(1.2 * whole.value) }))).toEqual([expect.stringContaining('layers.0.lora_B')])
    expect(failing(sides({ values: scaled(Number.NaN) }))).toEqual([expect.stringMatching(/^gradients/)])
    expect(gradient.value).toBe(2 * whole.value)
    // what an optimiser has moved may be further off, but not any far
    expect(later.value).toBeGreaterThan(gradient.value)
    expect(failing(sides({ values: scaled(0), step: 3 }))).toEqual([expect.stringContaining('one side alone')])
  })

  it('fails where one side has another learning rate', () => {
    const { trl, saqr } = sides()
    expect(failing({ trl, saqr: { ...saqr, rates: saqr.rates.with(6, 3.1e-4) } })).toEqual([
      'rates: the learning rate of step 7 is 0.0003 in TRL, 0.00031 in saqr',
    ])
    expect(failing({ trl, saqr: { ...saqr, rates: [] } })).toEqual(['rates: learning rates of 8 steps in TRL, of 0 in saqr'])
  })

  it('fails where one side has other rows, or other tensors', () => {
    const { trl, saqr } = sides()
    const rows = saqr.rows.with(2, [[seenRow([2, 1, 2], [0, 0, 1]), seenRow([9, 2], [0, 1])]])
    expect(failing({ trl, saqr: { ...saqr, rows } })).toEqual([
      'rows: step 3 has other rows: TRL’s 2 rows, 5 tokens, 3 learned; saqr’s 2 rows, 5 tokens, 2 learned',
    ])
    // their order within a micro-batch means nothing
    expect(failing({ trl, saqr: { ...saqr, rows: saqr.rows.map((step) => step.map((batch) => batch.toReversed())) } })).toEqual([])
    expect(failing({ trl, saqr: { ...saqr, trained: saqr.trained.slice(1) } })).toEqual([
      'tensors: layers.0.lora_A: TRL trains 2 × 3, saqr none',
    ])
  })

  it('fails where weights have gone another way, or as far in none, and names the tensor', () => {
    // a sign turned round is twice the step
    const turned = (count: number) => (values: Float32Array) => void values.set([...values.subarray(0, count)].map((x, k) => x + (k % 3 ? -0.02 : 0.02))) // biome-ignore format: short
    expect(failing(sides({ end: turned(1) }))).toEqual([expect.stringContaining('nearest to its limit layers.0.lora_B')])
    // half a hundredth of the rate: the way is as straight, and longer
    const further = (by: number) => (values: Float32Array) => void values.set(values.map((x, k) => x + by * (k % 3 ? 0.01 : -0.01)))
    expect(failing(sides({ end: further(1e-5) }))).toEqual([])
    expect(failing(sides({ end: further(0.05) }))).toEqual([expect.stringContaining('its length')])
    expect(failing(sides({ end: further(Number.NaN) }))).toHaveLength(1)
    const { trl, saqr } = sides()
    expect(failing({ trl: { ...trl, end: saqr.start }, saqr })).toEqual([expect.stringContaining('on one side alone')])
    const { tensors, file } = saqr.end
    const one = new Map([...tensors].slice(1))
    expect(failing({ trl, saqr: { ...saqr, end: { tensors: one, file } } })).toEqual([expect.stringContaining('layers.0.lora_A has moved')])
  })

  it('allows for what weights stored in bf16 round away', () => {
    const { trl, saqr } = sides({ end: (values) => void values.set(values.map((x, k) => x * (1 + (k % 2 ? 1e-3 : -1e-3)))) })
    expect(failing({ trl, saqr })).toHaveLength(1)
    const dtypes = new Map(NAMES.map((name) => [name, 'torch.bfloat16']))
    expect(failing({ trl: { ...trl, dtypes }, saqr })).toEqual([])
    expect(compare({ ...trl, dtypes }, saqr, facts).rounded).toBe('torch.bfloat16')
  })

  it('knows chosen from rejected, and wanted from unwanted', () => {
    const keys = [{ part: 0 }, { part: 1 }, { part: 0, wanted: true }, { part: 0, wanted: false }].map(
      (place) => seenRow([1, 2], [0, 1], place).key,
    )
    expect(new Set(keys).size).toBe(4)
  })

  it('goes by the coarser arithmetic of both', () => {
    const { trl, saqr } = sides()
    expect(compare({ ...trl, half: true }, saqr, facts).arithmetic).toBe('bf16')
    expect(tolerancesOf('bf16', { ...saqr, leastMoved: Number.POSITIVE_INFINITY, tensors: 2 }).gradient.value).toBeGreaterThan(
      1000 * tolerancesOf('f32', { ...saqr, leastMoved: Number.POSITIVE_INFINITY, tensors: 2 }).gradient.value,
    )
  })

  it('reads gradients as Python’s side writes them', () => {
    const list: KeptTensor[] = [{ name: 'a', step: 1, shape: [1], offset: 0 }]
    writeFileSync(join(folder, 'gradients.json'), JSON.stringify(list))
    expect([...readIndex(folder, 'gradients').values()]).toEqual(list)
  })
})

describe('the page', () => {
  const page = (passed = true) => {
    const { trl, saqr } = sides()
    return proofPage(compare(trl, passed ? saqr : { ...saqr, losses: saqr.losses.map((loss) => loss + 1) }, facts))
  }
  it('needs no script and no network, in light or dark', () => {
    expect(page()).not.toMatch(/<script|<link|<img|<iframe|@import|url\(|https?:|\son\w+=/)
    expect(page()).toContain('prefers-color-scheme:dark')
    const open = [...page().matchAll(/<(\w+)[ >]/g)].map(([, tag]) => tag!).filter((tag) => !['meta', 'line', 'polyline'].includes(tag))
    const closed = [...page().matchAll(/<\/(\w+)>/g)].map(([, tag]) => tag!)
    expect(open.sort()).toEqual(closed.sort())
  })
  it('says whether parity holds, what is allowed and why, both commands and every version', () => {
    expect(page()).toContain('Parity holds: run.yaml')
    expect(page(false)).toContain('Parity fails: run.yaml')
    for (const { value, why } of Object.values(
      tolerancesOf('f32', { layers: 2, longestSum: 64, leastMoved: Number.POSITIVE_INFINITY, tensors: 2 }),
    ).filter((one) => one !== null)) {
      expect(page()).toContain(why)
      expect(page()).toMatch(new RegExp(`${value.toExponential(1)}|${value.toExponential(0)}`))
    }
    // of gradients that follow, and of weights
    expect(page().slice(0, page().indexOf('<h2>Weights'))).toContain(COUNTED)
    expect(page().slice(page().indexOf('<h2>Weights'))).toContain(COUNTED)
    for (const part of ['python3 trl_side.py', "saqr sft --config 'my run.yaml'", '1.16.0', 'not there', '4.00×', 'lora_dropout', '3:20'])
      expect(page()).toContain(part)
  })
  it('takes texts for texts', () => {
    expect(page()).not.toContain('<b>')
    expect(page()).toContain('&#60;b&#62;')
  })
})
