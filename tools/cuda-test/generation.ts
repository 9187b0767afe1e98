/** Generation in f32: logits of what follows each token, read over the cache, as the CPU computes them; and the same bits whatever stands beside a text. */
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

/** logits of every token of what is asked, text by text */
async function ask(device: Device, folder: string, together: boolean): Promise<Float32Array[][]> {
  const opened = new OpenedModel(device, openCheckpoint(join(folder, 'model')), { dtype: 'f32', loadIn4bit: false, doubleQuant: false })
  const model = new LanguageModel(opened, adapterOf(folder), 0)
  const { adapter, trained } = model
  if (adapter.config && trained) {
    const saved = readTensors(join(folder, 'adapter', 'adapter_model.safetensors'))
    for (const name of trained.names) trained.setFromFile(name, saved.get(`base_model.model.${name}`)!)
  }
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
    const on = async (open: () => Device, together: boolean) => {
      const device = open()
      try {
        return await ask(device, folder, together)
      } finally {
        device.dispose()
      }
    }
    try {
      const together = await on(() => new CudaDevice(), true)
      const [alone, cpu] = [await on(() => new CudaDevice(), false), await on(() => new CpuDevice(), true)]
      let [farthest, differing] = [0, 0]
      for (const [i, text] of together.entries())
        for (const [step, logits] of text.entries()) {
          farthest = Math.max(farthest, distance(logits, cpu[i]![step]!))
          if (logits.some((x, k) => x !== alone[i]![step]![k])) differing++
        }
      // sums of some hundred terms in f32, in another order, layer by layer
      note(`${name}: logits against the CPU's`, farthest, 1e-5)
      note(`${name}: logits that differ from those of a text alone`, differing, 0)
    } catch (error) {
      const message = messageOf(error)
      if (/lora_bias/.test(message) || refused(name, message)) continue
      note(name, Infinity, 0, message)
    }
  }
}
