/**
 * `npm run bench:mixture -- [--threads 1,2] [--rounds 2] [--out bench/results/mixture-cpu.txt]`
 *
 * A small mixture of experts (0.84 B weights, of which a token meets 0.13 B: 64 experts in each of 16 layers, 8 a token) beside the dense model of the
 * same shape whose MLP is as wide as those 8 together: bf16, random weights, LoRA of rank 16 on attention and all of the MLP or the experts, 4 windows of 512
 * tokens a step, alternating, each in a process of its own. How much of the machine's limit each reaches (every step's share, as `saqr sft` counts
 * it: FLOPs of computed tokens by the measured limit), and the mixture's in share of the dense model's.
 */
import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { availableParallelism, cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { Dataset } from '../src/data/dataset.ts'
import { parametersOf } from '../src/engine/settle.ts'
import { f32ToBf16 } from '../src/formats/numbers.ts'
import { writeSafetensors } from '../src/formats/safetensors/write.ts'
import { FastLanguageModel, SFTTrainer } from '../src/index.ts'
import { openConfig } from '../src/models/registry.ts'
import { writeIdsTokenizer } from './ids-tokenizer.ts'

const VOCAB = 32768
const STEPS = 4
const SHAPE = {
  ...{ hidden_size: 512, num_hidden_layers: 16, num_attention_heads: 8, num_key_value_heads: 8, head_dim: 64, vocab_size: VOCAB },
  ...{ max_position_embeddings: 2048, tie_word_embeddings: true, torch_dtype: 'bfloat16' },
}
const MODELS = {
  dense: { ...SHAPE, model_type: 'qwen3', architectures: ['Qwen3ForCausalLM'], intermediate_size: 4096 },
  mixture: {
    ...{ ...SHAPE, model_type: 'qwen3_moe', architectures: ['Qwen3MoeForCausalLM'], intermediate_size: 4096 },
    ...{
      moe_intermediate_size: 512,
      num_experts: 64,
      num_experts_per_tok: 8,
      norm_topk_prob: true,
      decoder_sparse_step: 1,
      mlp_only_layers: [],
    },
  },
} as const
type Kind = keyof typeof MODELS

interface Result {
  share: number[]
  tokensPerSecond: number[]
  /** of a step, of all threads: what others do beside it counts less than in seconds */
  cpuSeconds: number
  /** of a step, GFLOP */
  work: number
  losses: number[]
  gradNorms: number[]
}

/** Numbers of about a normal distribution's size: a table of them, from another place for each tensor. */
async function writeModel(folder: string, config: (typeof MODELS)[Kind]): Promise<number> {
  mkdirSync(folder)
  const table = f32ToBf16(
    Float32Array.from({ length: 1 << 20 }, (_, i) => 0.06 * Math.sin(i * 12.9898 + 43758.5453 * Math.sin(i * 78.233))),
  )
  const ones = f32ToBf16(new Float32Array(512).fill(1))
  const tensors = [...parametersOf(openConfig(config)).values()].map(({ name, rows, cols, shape, role }, i) => ({
    ...{ name, dtype: 'BF16', shape: shape ?? (role === 'norm' ? [cols] : [rows, cols]) },
    *data() {
      for (let left = rows * cols, at = (i * 7919) % 4096; left > 0; at = 0) {
        const count = Math.min(left, table.length - at)
        yield new Uint8Array(role === 'norm' ? ones.buffer : table.buffer, role === 'norm' ? 0 : 2 * at, 2 * count)
        left -= count
      }
    },
  }))
  await writeSafetensors(join(folder, 'model.safetensors'), tensors)
  writeFileSync(join(folder, 'config.json'), JSON.stringify(config))
  writeIdsTokenizer(folder, VOCAB)
  return tensors.reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b), 0)
}

async function train(folder: string, outputDir: string): Promise<Result> {
  const { model } = await FastLanguageModel.fromPretrained(folder, { device: 'cpu', dtype: 'bfloat16', loadIn4bit: false })
  const peft = FastLanguageModel.getPeftModel(model, { r: 16, loraAlpha: 16 })
  const ids = (row: number) =>
    Array.from({ length: 512 }, (_, i) => 300 + ((row * 7907 + i * 104729 + ((i * i) % 977) * 31) % (VOCAB - 300)))
  const trainDataset = new Dataset(Array.from({ length: 4 * STEPS }, (_, row) => ({ input_ids: ids(row) })))
  const args = {
    ...{ maxSteps: STEPS, perDeviceTrainBatchSize: 4, maxLength: null, learningRate: 2e-4, prefixSharing: false, maxPassTokens: 2048 },
    ...{ trainSamplingStrategy: 'sequential' as const, loggingSteps: 1, saveStrategy: 'no' as const, outputDir },
  }
  const result: Result = { share: [], tokensPerSecond: [], cpuSeconds: 0, work: 0, losses: [], gradNorms: [] }
  let before = process.cpuUsage()
  for await (const event of new SFTTrainer({ model: peft, processingClass: peft.tokenizer, trainDataset, args }).stream()) {
    if (event.type === 'log') result.gradNorms.push(event.gradNorm)
    if (event.type === 'end') result.work = event.metrics.totalFlos / STEPS / 1e9
    if (event.type !== 'step') continue
    result.losses.push(event.loss)
    if (event.step === 1)
      before = process.cpuUsage() // pages are touched, plans are made
    else {
      result.share.push(event.share)
      result.tokensPerSecond.push(event.tokensPerSecond)
    }
  }
  const { user, system } = process.cpuUsage(before)
  result.cpuSeconds = (user + system) / 1e6 / (STEPS - 1)
  if (!result.gradNorms.every((n) => n > 0)) throw new Error('a gradient norm is zero: nothing was trained')
  await model.dispose()
  return result
}

/** on the first of the processors: as many threads as there are of them */
const pinned = (threads: number) => (threads < cpus().length ? ['taskset', '-c', `0-${threads - 1}`] : [])

const median = (values: readonly number[]) => [...values].sort((a, b) => a - b)[values.length >> 1]!
const { values, positionals } = parseArgs({
  options: {
    threads: { type: 'string', default: String(availableParallelism()) },
    rounds: { type: 'string', default: '2' },
    out: { type: 'string', default: 'bench/results/mixture-cpu.txt' },
  },
  allowPositionals: true,
})
if (positionals.length > 0) {
  const [folder, outputDir] = positionals as [string, string]
  console.log(JSON.stringify(await train(folder, outputDir)))
} else {
  const work = mkdtempSync(join(tmpdir(), 'saqr-bench-'))
  const lines = [`${new Date().toISOString().slice(0, 10)}, ${cpus()[0]!.model}, ${cpus().length} processors, node ${process.version}`]
  const say = (line: string) => {
    lines.push(line)
    console.log(line)
  }
  try {
    for (const [kind, config] of Object.entries(MODELS))
      say(`${kind}: ${((await writeModel(join(work, kind), config)) / 1e9).toFixed(2)} B weights`)
    say('threads  round  model     share   tok/s  CPU s a step  GFLOP a CPU s  first loss')
    for (const threads of values.threads.split(',').map(Number)) {
      const shares: Record<Kind, number[]> = { dense: [], mixture: [] }
      const rates: Record<Kind, number[]> = { dense: [], mixture: [] }
      for (let round = 1; round <= Number(values.rounds); round++)
        for (const kind of ['dense', 'mixture'] as const) {
          const command = [
            ...pinned(threads),
            process.execPath,
            ...process.execArgv,
            import.meta.filename,
            join(work, kind),
            join(work, 'run'),
          ]
          const text = execFileSync(command[0]!, command.slice(1), { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] })
          const { share, tokensPerSecond, cpuSeconds, work: gflop, losses } = JSON.parse(text.trim().split('\n').at(-1)!) as Result
          shares[kind].push(Math.max(...share))
          rates[kind].push(gflop / cpuSeconds)
          say(
            `${String(threads).padStart(7)} ${String(round).padStart(6)}  ${kind.padEnd(8)} ${`${(100 * median(share)).toFixed(1)} %`.padStart(7)} ${median(tokensPerSecond).toFixed(0).padStart(7)} ${cpuSeconds.toFixed(2).padStart(13)} ${(gflop / cpuSeconds).toFixed(1).padStart(14)} ${losses[0]!.toFixed(4).padStart(11)}`,
          )
        }
      const [ours, other] = [Math.max(...shares.mixture), Math.max(...shares.dense)]
      say(
        `${threads} threads, the best step of all rounds: mixture ${(100 * ours).toFixed(1)} % of the limit, dense ${(100 * other).toFixed(1)} %: ${((100 * ours) / other).toFixed(0)} % of it; by FLOP a CPU second ${((100 * Math.max(...rates.mixture)) / Math.max(...rates.dense)).toFixed(0)} %`,
      )
    }
    writeFileSync(values.out, `${lines.join('\n')}\n`)
  } finally {
    rmSync(work, { recursive: true })
  }
}
