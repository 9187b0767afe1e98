/** What the digest of every value of a base costs, beside opening it: processor seconds of the process and seconds. `--model FOLDER_OR_GGUF` */
import { parseArgs } from 'node:util'
import { CpuDevice } from '../src/devices/cpu/device.ts'
import { fromBlocks } from '../src/devices/cpu/ggml-blocks.ts'
import { digestOfBase } from '../src/engine/digest.ts'
import { LanguageModel } from '../src/engine/language-model.ts'
import { OpenedModel } from '../src/engine/opened-model.ts'
import { loraConfig } from '../src/formats/peft/config.ts'
import { openCheckpoint } from '../src/models/checkpoint.ts'

const { values } = parseArgs({
  options: { model: { type: 'string' }, rounds: { type: 'string', default: '3' }, nf4: { type: 'boolean', default: false } },
})
if (!values.model) throw new Error('--model FOLDER_OR_GGUF')

async function measured<T>(what: string, work: () => T | Promise<T>): Promise<T> {
  const [cpu, start] = [process.cpuUsage(), performance.now()]
  const made = await work()
  const { user, system } = process.cpuUsage(cpu)
  console.log(`${what}: ${((user + system) / 1e6).toFixed(3)} s of processors, ${((performance.now() - start) / 1e3).toFixed(3)} s`)
  return made
}

for (let round = 0; round < Number(values.rounds); round++) {
  const device = new CpuDevice({ threads: 2 })
  const opened = await measured('header, and weights to where they are computed with', () => {
    const base = new OpenedModel(device, openCheckpoint(values.model!, fromBlocks), {
      dtype: 'bf16',
      loadIn4bit: values.nf4,
      doubleQuant: values.nf4,
    })
    new LanguageModel(base, { kind: 'lora', config: loraConfig({ r: 8, targetModules: ['q_proj'] }) }, 0)
    return base
  })
  const bytes = [...opened.checkpoint.tensors.values()].reduce((sum, t) => sum + t.bytes, 0)
  const digest = await measured(`digest of ${(bytes / 1e6).toFixed(0)} MB`, () => digestOfBase(opened.checkpoint))
  console.log(digest)
  device.dispose()
}
