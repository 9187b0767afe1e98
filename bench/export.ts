/**
 * `npm run bench:export -- --tokenizer FOLDER --work FOLDER [--layers 3] [--before DIST/cli/start.js] [--runs 3] [--types bf16,q4_k_m]`
 *
 * What exporting a model of Llama 3.1 8B's shapes takes: a checkpoint with some of its 32 layers (random bf16 weights, five files of it) and an adapter
 * of rank 16 on all linears are made in the work folder, exported by `saqr export` merged and as GGUF, beside the tensors' plain copy, each flushed to
 * the disk, in turns. Processor seconds are the whole process's (Linux: of children waited for, in hundredths); rates are bytes of bf16 read per second,
 * `a core`: per processor second. The page cache holds what is read where memory allows.
 */
import { spawnSync } from 'node:child_process'
import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { cpus } from 'node:os'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { bytesOf, f32ToBf16 } from '../src/formats/numbers.ts'
import { type TensorToWrite, writeSafetensors } from '../src/formats/safetensors/write.ts'

const { values } = parseArgs({
  options: {
    tokenizer: { type: 'string' },
    work: { type: 'string' },
    layers: { type: 'string', default: '3' },
    before: { type: 'string' },
    runs: { type: 'string', default: '3' },
    types: { type: 'string', default: 'q4_k_m' },
  },
})
if (!values.work || !values.tokenizer) {
  console.error(
    'bench:export needs --work, a folder with room for three copies of the model, and --tokenizer, a folder with a tokenizer.json',
  )
  process.exit(2)
}
const work = resolve(values.work)
const [model, adapter] = [join(work, 'model'), join(work, 'adapter')]
const layers = Number(values.layers)
const [CHANNELS, INNER, KEYS, VOCAB, RANK] = [4096, 14336, 1024, 128256, 16]
const LINEARS: readonly (readonly [path: string, out: number, into: number])[] = [
  ['self_attn.q_proj', CHANNELS, CHANNELS],
  ['self_attn.k_proj', KEYS, CHANNELS],
  ['self_attn.v_proj', KEYS, CHANNELS],
  ['self_attn.o_proj', CHANNELS, CHANNELS],
  ['mlp.gate_proj', INNER, CHANNELS],
  ['mlp.up_proj', INNER, CHANNELS],
  ['mlp.down_proj', CHANNELS, INNER],
]

/** normal by twelve uniforms; the same in each run */
function random(seed: number): () => number {
  let state = seed
  const uniform = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return state / 2 ** 32
  }
  return () => Array.from({ length: 12 }, uniform).reduce((a, b) => a + b, -6)
}

/** a tensor's rows out of one block of values, begun elsewhere for each part */
const block = (() => {
  const normal = random(1)
  return f32ToBf16(Float32Array.from({ length: 1 << 20 }, () => 0.02 * normal()))
})()
function* weights(count: number): Generator<Uint8Array> {
  for (let at = 0; at < count; at += block.length) yield bytesOf(block.subarray(0, Math.min(block.length, count - at)))
}
const tensor = (name: string, shape: readonly number[]): TensorToWrite => ({
  ...{ name, shape, dtype: 'BF16' },
  data: () => weights(shape.reduce((a, b) => a * b, 1)),
})

async function make(): Promise<void> {
  mkdirSync(model, { recursive: true })
  mkdirSync(adapter, { recursive: true })
  const config = {
    ...{ architectures: ['LlamaForCausalLM'], model_type: 'llama', hidden_size: CHANNELS, intermediate_size: INNER, vocab_size: VOCAB },
    ...{ num_hidden_layers: layers, num_attention_heads: 32, num_key_value_heads: 8, head_dim: 128, max_position_embeddings: 8192 },
    ...{ rms_norm_eps: 1e-5, rope_theta: 500000, tie_word_embeddings: false, hidden_act: 'silu', torch_dtype: 'bfloat16' },
    ...{ bos_token_id: 128000, eos_token_id: 128009 },
  }
  writeFileSync(join(model, 'config.json'), JSON.stringify(config))
  for (const name of ['tokenizer.json', 'tokenizer_config.json']) copyFileSync(join(values.tokenizer!, name), join(model, name))
  const files: TensorToWrite[][] = [
    [tensor('model.embed_tokens.weight', [VOCAB, CHANNELS])],
    ...Array.from({ length: layers }, (_, l) => [
      ...LINEARS.map(([path, out, into]) => tensor(`model.layers.${l}.${path}.weight`, [out, into])),
      ...['input_layernorm', 'post_attention_layernorm'].map((path) => tensor(`model.layers.${l}.${path}.weight`, [CHANNELS])),
    ]),
    [tensor('model.norm.weight', [CHANNELS]), tensor('lm_head.weight', [VOCAB, CHANNELS])],
  ]
  const map: Record<string, string> = {}
  for (const [i, tensors] of files.entries()) {
    const name = `model-${String(i + 1).padStart(5, '0')}-of-${String(files.length).padStart(5, '0')}.safetensors`
    await writeSafetensors(join(model, name), tensors, { format: 'pt' })
    for (const { name: key } of tensors) map[key] = name
  }
  writeFileSync(join(model, 'model.safetensors.index.json'), JSON.stringify({ metadata: {}, weight_map: map }))
  const normal = random(2)
  const lora = (name: string, shape: readonly [number, number]): TensorToWrite => ({
    ...{ name, shape, dtype: 'F32' },
    data: () => bytesOf(Float32Array.from({ length: shape[0] * shape[1] }, () => 0.02 * normal())),
  })
  const parts = Array.from({ length: layers }, (_, l) =>
    LINEARS.flatMap(([path, out, into]) => [
      lora(`base_model.model.model.layers.${l}.${path}.lora_A.weight`, [RANK, into]),
      lora(`base_model.model.model.layers.${l}.${path}.lora_B.weight`, [out, RANK]),
    ]),
  ).flat()
  await writeSafetensors(join(adapter, 'adapter_model.safetensors'), parts, { format: 'pt' })
  const targets = LINEARS.map(([path]) => path.split('.')[1])
  const lines = {
    peft_type: 'LORA',
    task_type: 'CAUSAL_LM',
    r: RANK,
    lora_alpha: 32,
    target_modules: targets,
    lora_dropout: 0,
    bias: 'none',
  }
  writeFileSync(join(adapter, 'adapter_config.json'), JSON.stringify({ ...lines, base_model_name_or_path: model }))
}

/** of children: user, system, in seconds */
function spent(): [number, number] {
  const fields = readFileSync('/proc/self/stat', 'utf8').split(') ')[1]!.split(' ')
  return [Number(fields[13]) / 100, Number(fields[14]) / 100]
}

interface Run {
  wall: number
  user: number
  system: number
}

function run(command: string, args: readonly string[]): Run {
  rmSync(join(work, 'out'), { recursive: true, force: true })
  spawnSync('sync', [])
  const before = spent()
  const began = performance.now()
  const { status } = spawnSync(command, args, { stdio: ['ignore', 'ignore', 'inherit'] })
  if (status !== 0) throw new Error(`${command} ${args.join(' ')} ended with ${status}`)
  const wall = (performance.now() - began) / 1e3
  const [user, system] = spent().map((x, i) => x - before[i]!) as [number, number]
  rmSync(join(work, 'out'), { recursive: true, force: true })
  return { wall, user, system }
}

if (!existsSync(join(adapter, 'adapter_config.json'))) await make()
const bytes = readdirSync(model)
  .filter((name) => name.endsWith('.safetensors'))
  .reduce((sum, name) => sum + statSync(join(model, name)).size, 0)
const main = resolve(import.meta.dirname, '../dist/cli/start.js')
const commands = { ...(values.before ? { before: resolve(values.before) } : {}), now: main }
const ways = { merged: ['--merged'], ...Object.fromEntries(values.types.split(',').map((type) => [type, ['--gguf', type]])) }
const sides: [name: string, command: string, args: string[]][] = [
  ['copy', 'sh', ['-c', 'cp -r "$0" "$1" && sync "$1"/*', model, join(work, 'out')]],
]
for (const [way, flags] of Object.entries(ways))
  for (const [side, command] of Object.entries(commands))
    sides.push([
      `${way} ${side}`,
      process.execPath,
      [command, 'export', '--model_name_or_path', adapter, ...flags, '--output_dir', join(work, 'out'), '--use_cpu', '--no_check'],
    ])

console.log(
  `${new Date().toISOString().slice(0, 10)}, ${cpus()[0]!.model}, ${cpus().length} processors, node ${process.version}; ${layers} layers of Llama 3.1 8B's shapes, ${(bytes / 1e9).toFixed(2)} GB of bf16, rank ${RANK} on all linears; medians of ${values.runs} runs in turns`,
)
const found = new Map<string, Run[]>(sides.map(([name]) => [name, []]))
for (let i = 0; i < Number(values.runs); i++) {
  for (const [name, command, args] of sides) {
    const one = run(command, args)
    found.get(name)!.push(one)
    console.error(`${name} ${one.wall.toFixed(1)} s wall, ${one.user.toFixed(1)} user, ${one.system.toFixed(1)} system`)
  }
}
const median = (list: readonly number[]) => [...list].sort((a, b) => a - b)[list.length >> 1]!
for (const [name, runs] of found) {
  const [wall, user, system] = (['wall', 'user', 'system'] as const).map((key) => median(runs.map((one) => one[key])))
  const rate = (seconds: number) => `${(bytes / 1e6 / seconds).toFixed(0)} MB/s`
  const each = runs.map((one) => one.wall.toFixed(1)).join(' ')
  console.log(
    `${name.padEnd(14)} ${wall!.toFixed(1)} s (${each}), ${rate(wall!)}; ${user!.toFixed(1)} user + ${system!.toFixed(1)} system s, ${rate(user! + system!)} a core`,
  )
}
