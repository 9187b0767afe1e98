/** saqr prove of runs in half precision: what is allowed then, by what TRL's own run in f32 says, and what one tensor of many may have by chance. */
import { rmSync } from 'node:fs'
import { afterAll, describe, expect, it } from 'vitest'
import { compare } from '../../src/cli/prove/compare.ts'
import { baseApart, roundedFrom } from '../../src/cli/prove/in-f32.ts'
import { proofPage } from '../../src/cli/prove/page.ts'
import { signsDiffer, tolerancesOf } from '../../src/cli/prove/tolerances.ts'
import { measured } from '../../src/cli/prove/yardstick.ts'
import { SeededRandom } from '../../src/engine/random.ts'
import { facts, failing, folder, inF32, sides } from './proof-sides.ts'

afterAll(() => rmSync(folder, { recursive: true }))

const CODES = '4 bits'

describe('a comparison in half precision', () => {
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
})

describe('what chance may turn', () => {
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
    // its length goes by what all gradients may be apart
    expect(compare(trl, { ...saqr, longestSum: 17000 }, facts).moveRatioAllowed).toBeCloseTo(tolerances.moveLength.value, 12)
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
})

describe('bases that differ by more than half precision', () => {
  const { trl, saqr } = sides()
  const nested = { loadIn4bit: true, useBnbNestedQuant: true } as Parameters<typeof baseApart>[2]
  const experts = 'model.layers.0.mlp.experts.gate_up_proj'

  it('experts that bitsandbytes leaves as they are', () => {
    const ours = { ...saqr, inCodes: ['model.layers.0.self_attn.q_proj.weight', experts] }
    const held = (type: string) => ({ ...trl, half: true, held: new Map([['model.layers.0.self_attn.q_proj.weight', CODES], [experts, type]]) }) // biome-ignore format: short
    expect(baseApart(held('torch.bfloat16'), ours, nested, true)).toMatch(
      /^saqr holds model\.layers\.0\.mlp\.experts\.gate_up_proj in 4 bits, TRL in torch\.bfloat16/,
    )
    expect(baseApart(held(CODES), ours, nested, true)).toBe(null)
  })

  it('scales that are quantised on the CPU, where nothing else is rounded', () => {
    expect(baseApart(trl, saqr, nested, true)).toMatch(/without use_bnb_nested_quant/)
    expect(baseApart({ ...trl, half: true }, saqr, nested, true)).toBe(null)
    expect(baseApart(trl, saqr, nested, false)).toBe(null)
    expect(baseApart(trl, { ...saqr, stored: new Map([['w', { storage: 'nf4', vector: false }]]) }, nested, true)).toBe(null)
  })
})
