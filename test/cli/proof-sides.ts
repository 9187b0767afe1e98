/** Two sides of a proof without Python, and what a test changes of saqr’s. */
import { mkdirSync, mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { threadId } from 'node:worker_threads'
import { expect } from 'vitest'
import { compare, type Facts } from '../../src/cli/prove/compare.ts'
import { type SeenRow, seenRow, TensorWriter, type Values } from '../../src/cli/prove/recorded.ts'
import type { SaqrSide } from '../../src/cli/prove/saqr-side.ts'
import type { TrlSide } from '../../src/cli/prove/trl-side.ts'

/** who takes this removes it (`afterAll`) */
export const folder = join(tmpdir(), `saqr-prove-${process.pid}-${threadId}`)

export const NAMES = ['layers.0.lora_A', 'layers.0.lora_B']
export const facts: Facts = {
  config: { path: 'run.yaml', kind: 'sft', text: 'model_name_or_path: <b>"falcon" & heron</b>\n' },
  theirs: 'trl sft',
  changed: [{ name: 'lora_dropout', before: 0.05, now: 0, why: 'no two programs draw the same random bits' }],
  versions: { saqr: '0.1.0', trl: '1.16.0', bitsandbytes: null },
  inF32: [],
  made: '2026-01-01T00:00:00.000Z',
  saqrCommand: ['saqr', 'sft', '--config', 'my run.yaml'],
}

/** Two sides that did the same, and what a test changes of saqr's. */
export function sides(
  change: { values?: (values: Float32Array) => void; step?: number; end?: (values: Float32Array) => void; names?: string[] } = {},
): {
  trl: TrlSide
  saqr: SaqrSide
} {
  mkdirSync(folder, { recursive: true })
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
      logSoftmax: true,
      held: new Map([['model.norm.weight', 'torch.float32']]),
      command: ['python3', 'trl_side.py'],
    },
    saqr: { ...common, ...written('saqr', change.values ?? (() => {})), start: kept('start', first), end: kept('end', moved), ends: ends(0.5), device: 'cpu', arithmetic: 'f32', layers: 2, vocab: 512, longestSum: 64, directions: 100, stored: new Map([['model.norm.weight', { storage: 'F32', vector: true }]]), inCodes: [] }, // biome-ignore format: short
  }
}

/** TRL's run in f32, whose first gradients and losses are these; saqr had none */
export const inF32 = (values: (values: Float32Array) => void, losses?: number[]) => {
  const { trl, saqr } = sides({ values })
  const { gradients, gradientFile } = saqr
  return { trl: { ...trl, gradients, gradientFile, ...(losses ? { losses } : {}) }, saqr: null }
}

export const failing = ({ trl, saqr }: ReturnType<typeof sides>) => {
  const { checks, passed } = compare(trl, saqr, facts)
  expect(passed).toBe(checks.every((check) => check.passed))
  return checks.filter((check) => !check.passed).map(({ name, said }) => `${name}: ${said}`)
}
