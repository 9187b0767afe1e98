/**
 * Feeds mutated files to every reader and uses what comes out as the library would. A reader either gives sound values or throws
 * a SaqrError, in little time and memory.
 */
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { readAdapter } from '../../../src/formats/peft/read.ts'
import { loraScale } from '../../../src/formats/peft/scale.ts'
import { resolveDataset } from '../../../src/hub/dataset.ts'
import { openCheckpoint } from '../../../src/models/checkpoint.ts'
import { mutate, type Random, random } from './mutate.ts'

const fixtures = join(import.meta.dirname, '../../fixtures')

/** A file to mutate, among others that are left alone, and what reads it. */
interface Subject {
  name: string
  /** copied to a folder of its own */
  from: string
  file: string
  use: (folder: string) => unknown
}

const model = (folder: string) => useModel(folder)
const gguf = (file: string) => (folder: string) => useModel(join(folder, file))

const subjects: Subject[] = [
  { name: 'safetensors', from: 'families/llama-gqa-tied/model', file: 'model.safetensors', use: model },
  { name: 'config.json', from: 'families/llama-gqa-tied/model', file: 'config.json', use: model },
  { name: 'mixed types', from: 'formats/nf4', file: 'model.safetensors', use: model },
  { name: 'nf4 config', from: 'formats/nf4', file: 'config.json', use: model },
  { name: 'gguf blocks', from: 'formats', file: 'llama.gguf', use: gguf('llama.gguf') },
  { name: 'gguf f16', from: 'formats', file: 'bias.gguf', use: gguf('bias.gguf') },
  { name: 'adapter', from: 'families/lora-head-embed/adapter', file: 'adapter_model.safetensors', use: useAdapter },
  { name: 'adapter config', from: 'families/lora-head-embed/adapter', file: 'adapter_config.json', use: useAdapter },
  { name: 'index', from: 'index', file: 'model.safetensors.index.json', use: model },
  { name: 'tokenizer config', from: 'index', file: 'tokenizer_config.json', use: model },
  { name: 'data set card', from: 'card', file: 'README.md', use: (folder) => resolveDataset(folder) },
]

function useModel(path: string): number {
  const { tensors, config, tokenizer } = openCheckpoint(path)
  let sum = Object.keys(config).length + (tokenizer ? 1 : 0)
  for (const tensor of tensors.values()) {
    if (!['f32', 'bf16', 'f16', 'nf4'].includes(tensor.dtype)) continue
    sum += tensor.load('bf16').length
    if (tensor.rows > 2) sum += tensor.load('f32', 1, 1).length
  }
  return sum
}

function useAdapter(folder: string): number {
  const { config, modules } = readAdapter(folder)
  return [...modules].reduce((sum, [path, { a, b }]) => sum + loraScale(config, path) + a.load('f32').length + b.load('bf16').length, 0)
}

export interface FuzzResult {
  inputs: number
  /** were read without an error */
  accepted: number
  /** by code */
  refused: Record<string, number>
  /** of one input, seconds */
  slowest: number
  /** of array buffers and heap while the inputs ran, bytes */
  memory: number
  /** what must not be: seed, subject and error */
  failures: string[]
}

export async function fuzz(inputs: number, firstSeed = 1): Promise<FuzzResult> {
  const root = mkdtempSync(join(tmpdir(), 'saqr-fuzz-'))
  const result: FuzzResult = { inputs, accepted: 0, refused: {}, slowest: 0, memory: 0, failures: [] }
  const sound = subjects.map((subject) => prepare(subject, root))
  for (const [i, subject] of subjects.entries()) await subject.use(sound[i]!.folder) // each can be read as it is
  for (let seed = firstSeed; seed < firstSeed + inputs; seed++) {
    const r = random(seed)
    const which = r.below(subjects.length)
    await one(subjects[which]!, sound[which]!, sound[r.below(sound.length)]!.bytes, r, seed, result)
  }
  rmSync(root, { recursive: true, force: true })
  return result
}

function prepare({ name, from, file }: Subject, root: string): { folder: string; bytes: Buffer } {
  const folder = join(root, name)
  if (from === 'index' || from === 'card') made[from]!(folder)
  else cpSync(join(fixtures, from), folder, { recursive: true })
  return { folder, bytes: readFileSync(join(folder, file)) }
}

const made: Record<string, (folder: string) => void> = {
  index(folder) {
    cpSync(join(fixtures, 'families/llama-gqa-tied/model'), folder, { recursive: true })
    const header = readFileSync(join(folder, 'model.safetensors'))
    const names = Object.keys(JSON.parse(header.subarray(8, 8 + Number(header.readBigUInt64LE())).toString())).filter(
      (name) => name !== '__metadata__',
    )
    cpSync(join(folder, 'model.safetensors'), join(folder, 'part.safetensors'))
    rmSync(join(folder, 'model.safetensors'))
    writeFileSync(
      join(folder, 'model.safetensors.index.json'),
      JSON.stringify({ weight_map: Object.fromEntries(names.map((name) => [name, 'part.safetensors'])) }),
    )
    writeFileSync(join(folder, 'tokenizer.json'), '{}')
    writeFileSync(
      join(folder, 'tokenizer_config.json'),
      JSON.stringify({ bos_token: '<s>', chat_template: [{ name: 'default', template: 'x' }] }),
    )
  },
  card(folder) {
    cpSync(join(fixtures, 'data/rows'), folder, { recursive: true })
    writeFileSync(
      join(folder, 'README.md'),
      '---\nconfigs:\n- config_name: a\n  default: true\n  data_files:\n  - split: train\n    path: "*.json"\n---\n',
    )
  },
}

async function one(
  subject: Subject,
  sound: { folder: string; bytes: Buffer },
  other: Buffer,
  r: Random,
  seed: number,
  result: FuzzResult,
): Promise<void> {
  const mutated = mutate(sound.bytes, r, other)
  writeFileSync(join(sound.folder, subject.file), mutated)
  const start = performance.now()
  try {
    await subject.use(sound.folder)
    result.accepted++
  } catch (error) {
    const { name, code } = error as Error & { code?: string }
    if (name === 'SaqrError' && code && (error as Error).message.length < 1000) result.refused[code] = (result.refused[code] ?? 0) + 1
    else result.failures.push(`seed ${seed}, ${subject.name}: ${(error as Error).stack?.slice(0, 500)}`)
  }
  result.slowest = Math.max(result.slowest, (performance.now() - start) / 1000)
  const { heapUsed, arrayBuffers } = process.memoryUsage()
  result.memory = Math.max(result.memory, heapUsed + arrayBuffers)
}
