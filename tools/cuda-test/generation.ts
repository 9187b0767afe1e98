/**
 * Generation: in f32 logits of what follows each token, read over the cache, as the CPU computes them; in every type the same bits whatever stands
 * beside a text.
 */
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { CpuDevice } from '../../src/devices/cpu/device.ts'
import { CudaDevice } from '../../src/devices/cuda/device.ts'
import type { Device } from '../../src/devices/device.ts'
import { LanguageModel } from '../../src/engine/language-model.ts'
import { OpenedModel } from '../../src/engine/opened-model.ts'
import { SeededRandom } from '../../src/engine/random.ts'
import { DecodeLoop } from '../../src/generate/decode-loop.ts'
import { openCheckpoint } from '../../src/models/checkpoint.ts'
import { adapterOf, distance, readTensors } from '../../test/parity/family-case.ts'
import { families, messageOf, note, refused } from './findings.ts'

/** tokens that follow a prompt, each given: what one text goes on with must not depend on the other's last bits */
const STEPS = 6

interface Kept {
  dtype: 'f32' | 'bf16'
  nf4: boolean
  /** 4-bit weights of products lie there in bf16 too */
  dense?: boolean
}
const F32: Kept = { dtype: 'f32', nf4: false }
const OTHERS: readonly Kept[] = [
  { dtype: 'bf16', nf4: false },
  { dtype: 'bf16', nf4: true },
]

/** logits of every token of what is asked, text by text */
async function ask(
  device: Device,
  folder: string,
  together: boolean,
  { dtype, nf4, dense = false }: Kept = F32,
): Promise<Float32Array[][]> {
  const opened = new OpenedModel(device, openCheckpoint(join(folder, 'model')), { dtype, loadIn4bit: nf4, doubleQuant: nf4 })
  const model = new LanguageModel(opened, adapterOf(folder), 0)
  const { adapter, trained } = model
  if (adapter.config && trained) {
    const saved = readTensors(join(folder, 'adapter', 'adapter_model.safetensors'))
    for (const name of trained.names) trained.setFromFile(name, saved.get(`base_model.model.${name}`)!)
  }
  const codes = [...model.recorder.weights.values()].filter(({ name, dtype }) => dtype === 'nf4' && !name.includes('experts'))
  if (dense) await device.keepDense!(model, codes.map(({ name }) => name)) // biome-ignore format: short
  const { vocab, maxPositions } = opened.model
  const random = new SeededRandom(1, 'prompts')
  const drawn = (count: number) => Array.from({ length: count }, () => Math.floor(random.uniform() * vocab))
  const most = Math.min(140, maxPositions - STEPS)
  const prompts = [1, 9, 33, most].map((count) => drawn(Math.min(count, most)))
  const next = prompts.map(() => drawn(STEPS))
  const answers: Float32Array[][] = prompts.map(() => [])
  const loop = new DecodeLoop(model)
  const groups = together ? [prompts.map((_, i) => i)] : prompts.map((_, i) => [i])
  for (const group of groups) {
    const texts = new Map<number, Awaited<ReturnType<DecodeLoop['add']>>>()
    for (const i of group) texts.set(i, loop.begin(prompts[i]!, prompts[i]!.length + STEPS))
    // parts of several prompts are one pass, where they may be
    while (![...texts.values()].every(({ whole }) => whole)) await loop.read([...texts.values()])
    for (let step = 0; ; step++) {
      for (const [i, text] of texts) answers[i]!.push(Float32Array.from(text.logits))
      if (step === STEPS) break
      await loop.step([...texts].map(([i, text]) => [text, next[i]![step]!] as const))
    }
    for (const text of texts.values()) loop.remove(text)
  }
  loop.dispose()
  return answers
}

export async function checkGeneration(): Promise<void> {
  for (const name of readdirSync(families)) {
    const folder = join(families, name)
    const on = async (open: () => Device, together: boolean, kept = F32) => {
      const device = open()
      try {
        return await ask(device, folder, together, kept)
      } finally {
        device.dispose()
      }
    }
    for (const kept of OTHERS)
      try {
        const [together, alone] = [await on(() => new CudaDevice(), true, kept), await on(() => new CudaDevice(), false, kept)]
        const how = kept.nf4 ? 'bf16 over NF4' : 'bf16'
        note(`${name}, ${how}: logits that differ from those of a text alone`, differing(together, alone), 0)
        if (!kept.nf4) continue
        const dense = await on(() => new CudaDevice(), true, { ...kept, dense: true })
        note(`${name}, ${how}: logits that differ where weights lie in bf16 too`, differing(together, dense), 0)
      } catch (error) {
        const message = messageOf(error)
        // experts that are no whole blocks of 4-bit weights
        if (!/lora_bias|not whole blocks of 64/.test(message) && !refused(name, message)) note(name, Infinity, 0, message)
      }
    try {
      const together = await on(() => new CudaDevice(), true)
      const [alone, cpu] = [await on(() => new CudaDevice(), false), await on(() => new CpuDevice(), true)]
      let farthest = 0
      for (const [i, text] of together.entries())
        for (const [step, logits] of text.entries()) farthest = Math.max(farthest, distance(logits, cpu[i]![step]!))
      // sums of some hundred terms in f32, in another order, layer by layer
      note(`${name}: logits against the CPU's`, farthest, 1e-5)
      note(`${name}: logits that differ from those of a text alone`, differing(together, alone), 0)
    } catch (error) {
      const message = messageOf(error)
      if (/lora_bias/.test(message) || refused(name, message)) continue
      note(name, Infinity, 0, message)
    }
  }
}

const differing = (a: readonly Float32Array[][], b: readonly Float32Array[][]): number =>
  a.flatMap((text, i) => text.filter((logits, step) => logits.some((x, k) => !Object.is(x, b[i]![step]![k])))).length
