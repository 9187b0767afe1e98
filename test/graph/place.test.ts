/** Places in the arena and the choice of what blocks keep, against searches that try everything. */
import { readdirSync, readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { chooseAdapter } from '../../src/adapters/choose.ts'
import { settledSpec } from '../../src/engine/adapter-modules.ts'
import { SeededRandom } from '../../src/engine/random.ts'
import { loraConfig } from '../../src/formats/peft/config.ts'
import { fitPlan, policyAt } from '../../src/graph/fit.ts'
import { layoutParameters } from '../../src/graph/layout.ts'
import { lower } from '../../src/graph/lower.ts'
import { Occupied } from '../../src/graph/occupied.ts'
import { Recorder } from '../../src/graph/recorder.ts'
import { inspect, tracePass } from '../../src/graph/training.ts'
import { openConfig } from '../../src/models/registry.ts'
import { scale } from '../../src/ops/scale/op.ts'
import { sft } from '../../src/train/objectives/sft.ts'

it('the lowest gap is that of a search through everything placed', () => {
  for (let seed = 0; seed < 200; seed++) {
    const random = new SeededRandom(seed, 'places')
    const below = (n: number) => Math.floor(random.uniform() * n)
    const steps = 1 + below(90)
    const occupied = new Occupied(steps)
    const placed: { from: number; to: number; at: number; end: number }[] = []
    for (let i = 0; i < 40; i++) {
      const from = below(steps)
      const to = from + below(steps - from)
      const bytes = 1 + below(20)
      let at = 0
      for (const other of [...placed].sort((a, b) => a.at - b.at)) {
        if (other.to < from || other.from > to) continue
        if (other.at >= at + bytes) break
        at = Math.max(at, other.end)
      }
      expect(occupied.gap(from, to, bytes)).toBe(at)
      occupied.take(from, to, at, bytes)
      placed.push({ from, to, at, end: at + bytes })
    }
  }
})

describe('what blocks keep', () => {
  const LAYERS = 4
  const config = JSON.parse(readFileSync(new URL('../../examples/configs/llama-3.1-8b.json', import.meta.url), 'utf8'))
  const model = openConfig({ ...config, num_hidden_layers: LAYERS })
  const lora = loraConfig({ targetModules: ['q_proj', 'down_proj'] })
  const adapter = chooseAdapter({ kind: 'lora', config: lora }, { nf4: false, head: model.head.path }, true)
  const layout = layoutParameters(inspect(model, adapter, 'bf16').parameters.values())

  it.each([256, 2048, 8192])('is the least that fits, in passes of %i tokens', (tokens) => {
    const { lower } = tracePass({ model, adapter, activation: 'bf16', layout, score: sft.score, gradients: true, tokens })
    const arenas = Array.from({ length: 2 * LAYERS + 1 }, (_, level) => lower(policyAt(level, LAYERS)).arena)
    for (const budget of arenas.flatMap((arena) => [arena, arena - 1])) {
      const first = arenas.findIndex((arena) => arena <= budget)
      const found = fitPlan(LAYERS, { arena: budget, host: 0, least: 'recompute' }, lower)
      expect({ budget, fits: found.fits, level: found.level }).toEqual({
        budget,
        fits: first >= 0,
        level: first >= 0 ? first : arenas.indexOf(Math.min(...arenas)),
      })
      expect(found.plan.arena).toBe(arenas[found.level])
    }
  })
})

describe('what is read has been written', () => {
  it('a plan that reads a tensor before anything wrote it is refused', () => {
    const r = new Recorder()
    const x = r.tensor('x', { rows: 2, cols: 4, dtype: 'f32' }, 'arena')
    scale(r, r.columns(x, 1, 2), 2)
    expect(() => lower([{ name: 'all', nodes: r.nodes }], { tokens: 2, pinned: [] })).toThrow(/x is read, and nothing writes it before/)
    expect(() => lower([{ name: 'all', nodes: r.nodes }], { tokens: 2, pinned: [x] })).not.toThrow()
  })

  // sizes as published: those of tiny models have gaps where these have none
  const folder = new URL('../../examples/configs/', import.meta.url)
  it.each(readdirSync(folder))('%s, all weights trained, and an adapter on every linear', (file) => {
    const config = JSON.parse(readFileSync(new URL(file, folder), 'utf8'))
    const text = config.text_config ?? config
    text.num_hidden_layers = 2
    if (text.layer_types) text.layer_types = text.layer_types.slice(0, 2)
    const model = openConfig(config)
    for (const spec of [{ kind: 'full' }, { kind: 'lora', config: loraConfig({ r: 16, targetModules: 'all-linear' }) }] as const) {
      const adapter = chooseAdapter(settledSpec(spec, model), { nf4: false, head: model.head.path, tiedTo: model.head.tiedTo }, true)
      const layout = layoutParameters(inspect(model, adapter, 'bf16').parameters.values())
      const traced = tracePass({ model, adapter, activation: 'bf16', layout, score: sft.score, gradients: true, tokens: 256 })
      for (const policy of ['all', 'recompute'] as const) expect(traced.lower(() => policy).plan.steps.length).toBeGreaterThan(20)
    }
  })
})
