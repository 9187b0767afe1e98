/** Adapters that keep something of the base say what PEFT says, merged too, and are saved as they were. Recorded by tools/oracle/adapters.py. */
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { TOKEN_ROWS as ROWS } from '../../src/adapters/token-rows.ts'
import { planPasses } from '../../src/data/passes.ts'
import { CpuDevice } from '../../src/devices/cpu/device.ts'
import type { Device } from '../../src/devices/device.ts'
import { ReferenceDevice } from '../../src/devices/reference/device.ts'
import { adaptedBase } from '../../src/engine/adapted-base.ts'
import { LanguageModel } from '../../src/engine/language-model.ts'
import { loadAdapter } from '../../src/engine/load-adapter.ts'
import { OpenedModel } from '../../src/engine/opened-model.ts'
import { PassRunner } from '../../src/engine/runner.ts'
import { saveTrained } from '../../src/engine/save.ts'
import { saveMerged } from '../../src/export/merged.ts'
import { PEFT_PREFIX, readAdapter } from '../../src/formats/peft/read.ts'
import { openCheckpoint } from '../../src/models/checkpoint.ts'
import { SCORES } from '../../src/ops/target-log-probs/op.ts'
import { sft } from '../../src/train/objectives/sft.ts'
import { distance, readTensors } from '../parity/family-case.ts'

const root = join(import.meta.dirname, '../fixtures/adapters')
const cases = readdirSync(root).filter((name) => name !== 'tied' && name !== 'untied')
const work = mkdtempSync(join(tmpdir(), 'saqr-adapters-'))
afterAll(() => rmSync(work, { recursive: true }))

const choice = { dtype: 'f32', loadIn4bit: false, doubleQuant: false } as const
const baseOf = (name: string) => JSON.parse(readFileSync(join(root, name, 'base.json'), 'utf8')) as { base: string; vocabulary: number }

/** the row of the recording */
const ids = Int32Array.of(3, 17, 5, 9, 4, 21, 3, 5, 11, 8, 23, 4)

async function logProbabilities({ opened, spec, trained }: LanguageModel, gradients = false): Promise<Float32Array> {
  const runner = new PassRunner(opened.device, {
    model: opened.model,
    adapter: opened.adapter(spec, false),
    activation: 'f32',
    layout: trained?.layout ?? { scope: '', size: 0, entries: new Map() },
    policy: () => () => 'all',
    score: sft.score,
    gradients,
  })
  const row = { ids, targets: Uint8Array.from(ids, (_, i) => (i > 0 ? 1 : 0)), row: 1, source: 'row' }
  const [pass] = planPasses([row], { maxPassTokens: 512, quantum: 16 })
  const { entries: scores } = await runner.run(pass!, { seed: 0, step: 0, lossScale: 1 / (ids.length - 1) })
  return scores.filter((_, i) => i % SCORES === 0)
}

async function onDevice<T>(use: (device: CpuDevice) => Promise<T>): Promise<T> {
  const device = new CpuDevice({ threads: 1 })
  try {
    return await use(device)
  } finally {
    device.dispose()
  }
}

function openOver(device: Device, base: string, folder: string): LanguageModel {
  const checkpoint = adaptedBase(openCheckpoint(join(root, base)), readAdapter(folder), folder)
  return loadAdapter(new OpenedModel(device, checkpoint, choice), folder)
}

// PEFT's own f32 lies about as far from f64; a merged weight is rounded once more
const CLOSE = 3e-6
// of every gradient, or three times what PEFT's own is off (docs/design.md, 4): one that nearly cancels has fewer digits
const GRADIENT = 1e-5

describe.each(cases)('%s', (name) => {
  const { base, vocabulary } = baseOf(name)
  const folder = join(root, name)
  const expected = readTensors(join(folder, 'expected.safetensors')).get('logp')!
  const file = (at: string) => readTensors(join(at, 'adapter_model.safetensors'))

  it('says what PEFT says, merged too', () =>
    onDevice(async (device) => {
      const model = openOver(device, base, folder)
      expect(model.opened.model.vocab).toBe(vocabulary)
      expect(distance(await logProbabilities(model), expected)).toBeLessThan(CLOSE)
      const merged = join(work, `${name}-merged`)
      await saveMerged(model, merged)
      await onDevice(async (other) => {
        const opened = new LanguageModel(new OpenedModel(other, openCheckpoint(merged), choice), { kind: 'none' }, 0)
        expect(opened.opened.checkpoint.config.vocab_size).toBe(vocabulary)
        // rows that head and embedding share leave them one weight
        const shared = ['tokens-tied', 'tokens-same-tied', 'tokens-resized-tied'].includes(name)
        if (shared) expect(opened.opened.model.head.tiedTo).toBeDefined()
        if (name.startsWith('tokens') && !shared) expect(opened.opened.model.head.tiedTo).toBeUndefined()
        expect(distance(await logProbabilities(opened), expected)).toBeLessThan(CLOSE)
      })
    }))

  it('is saved as it was, and again over itself', () =>
    onDevice(async (device) => {
      const model = openOver(device, base, folder)
      const out = join(work, name)
      await saveTrained(model, out)
      // copies that PEFT doesn't read: of modules_to_save, and of rows that a tied head has from the embedding
      const copy =
        baseOf(name).base === 'tied' && file(folder).has(`${PEFT_PREFIX}model.embed_tokens.${ROWS}`) && !name.startsWith('tokens-by')
      const isCopy = (key: string) => key.endsWith('.modules_to_save.weight') || (copy && key.endsWith(`lm_head.${ROWS}`))
      const given = [...file(folder)].filter(([key]) => !isCopy(key))
      const sorted = (tensors: Iterable<[string, Float32Array]>) => [...tensors].sort(([a], [b]) => (a < b ? -1 : 1))
      expect(sorted(file(out))).toEqual(sorted(given))
      const config = (at: string) => JSON.parse(readFileSync(join(at, 'adapter_config.json'), 'utf8'))
      expect(config(out)).toEqual(config(folder))
      // over the file that it was read from, in which what is kept then lies elsewhere
      cpSync(folder, out, { recursive: true })
      await onDevice(async (other) => {
        const again = openOver(other, base, out)
        await saveTrained(again, out)
        await saveTrained(again, out)
        expect(sorted(file(out))).toEqual(sorted(given))
        const merged = join(work, `${name}-merged-after`)
        await saveMerged(again, merged)
        expect(readTensors(join(merged, 'model.safetensors'))).toEqual(readTensors(join(work, `${name}-merged`, 'model.safetensors')))
      })
    }))

  it('is trained on, or refused before it', () =>
    onDevice(async (device) => {
      const model = openOver(device, base, folder)
      const refused = name.startsWith('as-one-low-rank') ? 'ensure_weight_tying' : null
      if (refused === null) {
        model.checkTrainable()
        const recorded = [...readTensors(join(folder, 'expected.safetensors'))].filter(([key]) => key.startsWith('grad'))
        if (recorded.length === 0) return
        expect(name.startsWith('tokens')).toBe(recorded.length > 1)
        await logProbabilities(model, true)
        // the definitions, in f64: how far PEFT's own f32 is from them
        const exact = openOver(new ReferenceDevice(), base, folder)
        await logProbabilities(exact, true)
        for (const [key, gradient] of recorded) {
          const trained = key === 'grad' ? 'model.embed_tokens.weight' : key.slice('grad.'.length)
          const theirs = distance(gradient, exact.trainables.get(trained, 'gradients'))
          const ours = distance(model.trainables.get(trained, 'gradients'), gradient)
          expect(ours, key).toBeLessThan(Math.max(GRADIENT, 3 * theirs))
        }
      } else
        expect(() => model.checkTrainable()).toThrow(
          expect.objectContaining({ code: 'MODEL_UNTRAINABLE', message: expect.stringContaining(refused) }),
        )
    }))
})
