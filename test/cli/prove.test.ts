/** saqr prove without Python: what is compared and allowed, the page, and what is refused before TRL is asked. TRL itself: test/live/prove.live.ts. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { compare, type Facts } from '../../src/cli/prove/compare.ts'
import { roundedFrom } from '../../src/cli/prove/in-f32.ts'
import { proofPage } from '../../src/cli/prove/page.ts'
import type { Recipe } from '../../src/cli/prove/recipe.ts'
import { type KeptTensor, readIndex, type SeenRow, seenRow, TensorWriter, type Values } from '../../src/cli/prove/recorded.ts'
import type { SaqrSide } from '../../src/cli/prove/saqr-side.ts'
import { EXACT_SUM, maySumExplain, summedExactly } from '../../src/cli/prove/summed.ts'
import { COUNTED, signsDiffer, tolerancesOf } from '../../src/cli/prove/tolerances.ts'
import type { TrlRequest, TrlSide } from '../../src/cli/prove/trl-side.ts'
import { measured } from '../../src/cli/prove/yardstick.ts'
import type { Io } from '../../src/cli/verb.ts'
import { SeededRandom } from '../../src/engine/random.ts'

const folder = mkdtempSync(join(tmpdir(), 'saqr-prove-'))
afterAll(() => rmSync(folder, { recursive: true }))

const CODES = '4 bits'
const NAMES = ['layers.0.lora_A', 'layers.0.lora_B']
const facts: Facts = {
  config: { path: 'run.yaml', kind: 'sft', text: 'model_name_or_path: <b>"falcon" & heron</b>\n' },
  theirs: 'trl sft',
  changed: [{ name: 'lora_dropout', before: 0.05, now: 0, why: 'no two programs draw the same random bits' }],
  versions: { saqr: '0.1.0', trl: '1.16.0', bitsandbytes: null },
  inF32: [],
  made: '2026-01-01T00:00:00.000Z',
  saqrCommand: ['saqr', 'sft', '--config', 'my run.yaml'],
}

/** Two sides that did the same, and what a test changes of saqr's. */
function sides(
  change: { values?: (values: Float32Array) => void; step?: number; end?: (values: Float32Array) => void; names?: string[] } = {},
): {
  trl: TrlSide
  saqr: SaqrSide
} {
  const { names = NAMES } = change
  const rows: SeenRow[][][] = Array.from({ length: 8 }, (_, i) => [[seenRow([i, 1, 2], [0, 1, 1]), seenRow([9, i], [0, 1])]])
  const written = (name: string, edit?: (values: Float32Array) => void) => {
    const work = mkdtempSync(join(folder, `${name}-`))
    const writer = new TensorWriter(work, 'gradients')
    for (const [i, tensor] of names.entries()) {
      const values = Float32Array.from({ length: 6 }, (_, k) => Math.sin(k + i + 1))
      if (i === 1) edit?.(values)
      writer.add(tensor, i === 0 ? 2 : (edit && change.step) || 1, [2, 3], values)
    }
    writer.close()
    return { gradients: writer.kept, gradientFile: writer.path }
  }
  /** each of 1000 numbers goes a hundredth; `move` is what is added to that of lora_B */
  const kept = (name: string, values: (i: number) => Float32Array): Values => {
    const work = mkdtempSync(join(folder, `${name}-`))
    const writer = new TensorWriter(work, name)
    for (const [i, tensor] of names.entries()) writer.add(tensor, 8, [10, 100], values(i))
    writer.close()
    return { tensors: writer.kept, file: writer.path }
  }
  const first = (i: number) => Float32Array.from({ length: 1000 }, (_, k) => Math.sin(k + i))
  const last = (i: number) => first(i).map((x, k) => x + (k % 3 ? 0.01 : -0.01))
  const moved = (i: number) => {
    const values = last(i)
    if (i === 1) change.end?.(values)
    return values
  }
  const common = {
    losses: [3, 2.9, 2.7, 2.6, 2.5, 2.4, 2.2, 2.1],
    rates: [1e-4, 2e-4, 3e-4, 4e-4, 5e-4, 4e-4, 3e-4, 2e-4],
    rows,
    totalSteps: 100,
    memory: { host: 1e9, card: null },
    trained: names.map((name): [string, number[]] => [name, [2, 3]]),
  }
  const ends = (each: number) => common.losses.map((_, i) => each * (i + 1))
  return {
    trl: {
      ...common,
      ...written('trl'),
      end: kept('end', last),
      dtypes: new Map(names.map((name) => [name, 'torch.float32'])),
      ends: ends(2),
      versions: {},
      device: 'cpu',
      threads: 2,
      half: false,
      held: new Map([['model.norm.weight', 'torch.float32']]),
      command: ['python3', 'trl_side.py'],
    },
    saqr: { ...common, ...written('saqr', change.values ?? (() => {})), start: kept('start', first), end: kept('end', moved), ends: ends(0.5), device: 'cpu', arithmetic: 'f32', layers: 2, vocab: 512, longestSum: 64, directions: 100, stored: new Map([['model.norm.weight', { storage: 'F32', vector: true }]]) }, // biome-ignore format: short
  }
}

/** TRL's run in f32, whose first gradients and losses are these; saqr had none */
const inF32 = (values: (values: Float32Array) => void, losses?: number[]) => {
  const { trl, saqr } = sides({ values })
  const { gradients, gradientFile } = saqr
  return { trl: { ...trl, gradients, gradientFile, ...(losses ? { losses } : {}) }, saqr: null }
}

const failing = ({ trl, saqr }: ReturnType<typeof sides>) => {
  const { checks, passed } = compare(trl, saqr, facts)
  expect(passed).toBe(checks.every((check) => check.passed))
  return checks.filter((check) => !check.passed).map(({ name, said }) => `${name}: ${said}`)
}

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
    expect(off(Number.NaN)).toHaveLength(1)
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

  it('goes by what half precision costs TRL itself, and sees a wrong scale in a gradient’s length', () => {
    const scaled = (by: number) => (values: Float32Array) => void values.set(values.map((x) => x * (1 + by)))
    // in f32 a tenth of a value away, now up, now down
    const f32 = inF32((values) => void values.set(values.map((x, i) => x * (i % 2 ? 1.05 : 0.95))))
    const named = (by: number) => {
      const { trl, saqr } = sides({ values: scaled(by) })
      const { checks, tolerances } = compare({ ...trl, half: true }, saqr, facts, f32)
      expect(tolerances.whole.value).toBeGreaterThan(0.09)
      return checks.filter(({ passed }) => !passed).map(({ name }) => name)
    }
    expect(named(0.001)).toEqual([])
    expect(named(0.06)).toEqual(['length'])
    expect(named(0.3)).toEqual(['gradients', 'length'])
  })

  it('compares both in f32 too, where half precision would hide a wrong scale, and asks less of its length then', () => {
    const noise = (values: Float32Array) => void values.set(values.map((x, i) => x * (i % 2 ? 1.05 : 0.95)))
    const longer = (by: number) => (values: Float32Array) => void values.set(values.map((x) => x * (1 + by)))
    const found = (half: number, exact: number) => {
      const [{ trl, saqr }, f32] = [sides({ values: longer(half) }), sides({ values: longer(exact) })]
      // what TRL's own bf16 costs: its f32 run is `noise` away from it
      const apart = sides({ values: noise }).saqr
      const same = { ...f32.trl, gradients: apart.gradients, gradientFile: apart.gradientFile }
      const both = (values: Float32Array) => {
        noise(values)
        longer(exact)(values)
      }
      const { gradients, gradientFile } = sides({ values: both }).saqr
      const proof = compare({ ...trl, half: true }, { ...saqr, arithmetic: 'bf16' }, facts, {
        trl: same,
        saqr: { ...f32.saqr, gradients, gradientFile },
      })
      expect(proof.f32?.arithmetic).toBe('f32')
      expect(proofPage(proof)).toContain('<h2>Gradients in f32</h2>')
      return proof.checks.filter(({ passed }) => !passed).map(({ name, arithmetic }) => `${name} in ${arithmetic}`)
    }
    // without f32 a length 3 % off is told (above); beside it, what chance makes of one draw is let be
    expect(found(0.03, 0)).toEqual([])
    expect(found(0.06, 0)).toEqual(['length in bf16'])
    expect(found(0.03, 0.02)).toEqual(['gradients in f32'])
    expect(found(0.3, 0)).toEqual(['gradients in bf16', 'length in bf16'])
  })

  it.each([
    ['all of it in f32', { w: 'torch.float32' }, null, { w: 'F32' }, null],
    ['files of the same type', { w: 'torch.bfloat16', a: 'torch.float32' }, null, { w: 'BF16', q: 'MXFP4' }, null],
    ['codes of 4 bits, of files of the same type', { w: CODES, e: 'torch.bfloat16' }, 'bfloat16', { w: 'BF16', e: 'BF16', p: 'nf4' }, null],
    ['a router that is kept in f32', { w: 'torch.bfloat16', r: 'torch.float32' }, 'bfloat16', { w: 'BF16', r: 'F32' }, null],
    ['files of f32', { w: 'torch.bfloat16' }, null, { w: 'F32' }, 'TRL held w in torch.bfloat16, and its file has it in F32'],
    ['codes of 4 bits, of files of f32', { w: CODES, e: 'torch.bfloat16' }, null, { w: 'F32' }, 'torch.bfloat16'],
    // norms that PEFT made f32 of again were rounded before
    ['norms that were made f32 again', { w: CODES, n: 'torch.float32' }, 'bfloat16', { n: 'F32' }, 'torch.bfloat16'],
    ['tensors that have other names there', { w: 'torch.float16' }, 'auto', { x: 'F8_E4M3' }, 'torch.float16'],
  ] as const)('knows whether TRL rounded the base: %s', (_, held, dtype, storages, expected) => {
    const stored = new Map(Object.entries(storages).map(([name, storage]) => [name, { storage, vector: false }]))
    const found = roundedFrom(new Map(Object.entries(held)), dtype, stored)
    if (expected === null) expect(found).toBeNull()
    else expect(found).toContain(expected)
  })

  it('lets losses be apart as far as half precision moves TRL’s own, where that is more than a rounding of logits', () => {
    const values = (values: Float32Array) => void values.set(values.map((x, i) => x * (i % 2 ? 1.05 : 0.95)))
    const named = (cost: number, by: number, exact = true) => {
      const { trl, saqr } = sides()
      // now up, now down, growing as a random walk does
      const losses = trl.losses.map((loss, i) => loss * (1 + (i % 2 ? cost : -cost) * Math.sqrt(i + 1)))
      const theirs = saqr.losses.map((loss, i) => loss * (1 + by * Math.sqrt(i + 1)))
      const f32 = inF32(values, losses).trl
      const { gradients, gradientFile } = f32
      const ours = exact ? { ...saqr, losses, gradients, gradientFile } : null
      const { checks } = compare({ ...trl, half: true }, { ...saqr, losses: theirs }, facts, { trl: f32, saqr: ours })
      return checks.filter(({ passed }) => !passed).map(({ name }) => name)
    }
    expect([named(1e-3, 4e-3), named(1e-3, 8e-3)]).toEqual([[], ['loss']])
    // 3√5 · 0.3 % and no more
    expect([named(3e-3, 1.9e-2), named(3e-3, 2.2e-2)]).toEqual([[], ['loss']])
    // nothing stands for the mathematics then
    expect(named(3e-3, 8e-3, false)).toEqual(['loss'])
  })

  it('lets a length err as the weights of few sequences do', () => {
    const f32 = inF32((values) => void values.set(values.map((x, i) => x * (i % 2 ? 1.05 : 0.95))))
    const named = (by: number, directions: number) => {
      const { trl, saqr } = sides({ values: (values) => void values.set(values.map((x) => x * (1 + by))) })
      const { checks } = compare({ ...trl, half: true }, { ...saqr, directions }, facts, f32)
      return checks.filter(({ passed }) => !passed).map(({ name }) => name)
    }
    // TRL's own gradients err by some 5 %: of 8 sequences 2/√8 of that may lie along the gradient, of 100 a fifth
    expect([named(0.03, 100), named(0.03, 8)]).toEqual([['length'], []])
    expect(named(0.06, 8)).toEqual(['length'])
  })

  it('lets signs of few numbers differ in one run and not in another', () => {
    const whole = 0.016
    const least = (leastMoved: number) => {
      const yardstick = { tensors: new Map(), steps: new Map([[1, whole], [2, 0.03]]), length: 0, loss: 0 } // biome-ignore format: short
      return measured(
        tolerancesOf('bf16', { layers: 2, longestSum: 64, leastMoved, tensors: 1 }),
        yardstick,
        { directions: 100, leastMoved, tensors: 1 },
        false,
      ).later.value
    }
    const random = new SeededRandom(1, 'signs')
    // 32 gradients, in a program that errs by `whole` and in one that errs twice as much: how far the steps are apart that go by their signs
    const apart = Array.from({ length: 2000 }, () => {
      const differ = Array.from({ length: 32 }, () => {
        const g = random.normal()
        return Math.sign(g + whole * random.normal()) !== Math.sign(g + 2 * whole * random.normal())
      })
      return 2 * Math.sqrt(differ.filter(Boolean).length / 32)
    })
    const above = (limit: number) => apart.filter((off) => off > limit).length / apart.length
    // three times what TRL's own run shows of step 2 is no measure where no sign differed in it
    expect(above(3 * 0.03)).toBeGreaterThan(0.2)
    expect(above(least(32))).toBeLessThan(0.01)
    // and of many numbers it is what differs on the whole
    expect(least(1e6)).toBeLessThan(0.26)
    // four of 32: five are seen once in six thousand runs
    expect(least(32)).toBeCloseTo(2 * Math.sqrt(4 / 32))
  })

  it('allows of each of many small tensors what one of them may have by chance', () => {
    // SmolLM2's 60 trained projections of step 1, of 3072 numbers, gradients as far apart as f32 allows: how many signs differ in one
    const [whole, numbers, tensors, runs] = [9e-5, 3072, 60, 2000]
    const random = new SeededRandom(1, 'tensors')
    const most = Array.from({ length: runs }, () =>
      Math.max(
        ...Array.from({ length: tensors }, () => {
          // Poisson's law by its own waiting times
          let [count, left] = [-1, (numbers * whole) / Math.PI]
          for (; left > 0; count++) left += Math.log(1 - random.uniform())
          return count
        }),
      ),
    )
    const limit = signsDiffer(whole, { numbers, tensors })
    const above = (limit: number) => most.filter((count) => 2 * Math.sqrt(count / numbers) > limit).length / runs
    // nearly every run has a tensor in which one differs
    expect(above(signsDiffer(whole))).toBeGreaterThan(0.95)
    expect(above(limit)).toBeLessThan(3e-3)
    expect(limit).toBeCloseTo(2 * Math.sqrt(3 / numbers))
    // as many as are expected, where that is many
    expect(signsDiffer(whole, { numbers: 1e12, tensors })).toBeCloseTo(signsDiffer(whole), 4)
    const beside = (delta: number) => signsDiffer(delta, { numbers: 1e5, tensors }) / signsDiffer(delta)
    // 9549 are expected: a count by Poisson's law, 4.15 of their roots above as a normal law has it (1/60000), √(1 + 4.15/√9549)
    expect(beside(0.3)).toBeCloseTo(1.021, 3)
    // 10504: five of their roots, √(1 + 5/√10504)
    expect(beside(0.33)).toBeCloseTo(1.024, 3)
  })

  it('asks of a tensor what one of all that are trained may have by chance', () => {
    // sums of 17000 terms: of 1000 numbers three hundredths of a sign are expected. One tensor has two in 2000 runs, so none may; of 120 one has in 18
    const names = Array.from({ length: 120 }, (_, i) => `layers.${i}.lora_A`)
    const few = (tensors: number) => ({ layers: 2, longestSum: 17000, leastMoved: 1000, tensors })
    const turned = (values: Float32Array) => void values.set([...values.subarray(0, 2)].map((x, k) => x + (k % 3 ? -0.02 : 0.02)))
    const { trl, saqr } = sides({ names, end: turned })
    const { moves, passed, tolerances } = compare(trl, { ...saqr, longestSum: 17000 }, facts)
    expect(moves[0]).toMatchObject({ name: 'layers.1.lora_A', difference: expect.closeTo(2 * Math.sqrt(2 / 1000), 4) })
    expect(passed).toBe(true)
    expect(failing({ trl, saqr: { ...saqr, longestSum: 17000 / 4 } })).toEqual([expect.stringMatching(/^weights: .*layers\.1\.lora_A/)])
    const two = sides({ end: turned })
    expect(failing({ ...two, saqr: { ...two.saqr, longestSum: 17000 } })).toEqual([expect.stringMatching(/^weights: .*lora_B/)])
    // gradients that follow the first step: the same law
    const later = (tensors: number) => tolerancesOf('f32', few(tensors)).later.value
    expect([later(1), later(120)]).toEqual([2 * Math.sqrt(1 / 1000), 2 * Math.sqrt(2 / 1000)].map((x) => expect.closeTo(x)))
    // the smallest has 6 numbers here: a sign of 120 · 6 differs in 50 runs
    expect(tolerances.later.value).toBeCloseTo(2 * Math.sqrt(1 / 6))
    const yardstick = { tensors: new Map(), steps: new Map([[1, 3.1e-5], [2, 1e-3]]), length: 0, loss: 0 } // biome-ignore format: short
    const half = (tensors: number) => measured(tolerancesOf('bf16', few(tensors)), yardstick, { ...few(tensors), directions: 100 }, false)
    expect([half(1), half(120)].map(({ later }) => later.value)).toEqual([later(1), later(120)].map((x) => expect.closeTo(x)))
  })

  it('asks TRL again, its softmax added in f64, where that sum may be all that is wrong', () => {
    const { trl, saqr } = sides({ values: (values) => void values.set(values.map((x) => x * (1 + 3e-4))) })
    const asks = (other: Partial<SaqrSide> = {}, vocab = 49152) => maySumExplain(compare(trl, { ...saqr, ...other }, facts), vocab)
    expect(asks()).toBe(true)
    expect(maySumExplain(compare(trl, sides().saqr, facts), 49152)).toBe(false)
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
