#!/usr/bin/env node
// Trains the quickstart's base model from scratch with saqr itself:
//   node tools/quickstart/make-base.mjs [--steps N] [--device cpu|cuda] [--out assets/quickstart]
// The model (a small Llama) learns to read sentences about orders; the task
// (make-task.mjs: JSON out of a sentence) is left for the quickstart to teach. The committed model was made on one CUDA card, in a minute.
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { Dataset, FastLanguageModel, SFTTrainer } from 'saqr'
import { openDevice } from '../../dist/cli/device.js'
import { SeededRandom } from '../../dist/engine/random.js'
import { writeSafetensors } from '../../dist/formats/safetensors/write.js'
import { trainBpe } from './bpe.mjs'
import { baseText, generator } from './world.mjs'

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))))
const { values: args } = parseArgs({
  options: {
    steps: { type: 'string', default: '9000' },
    device: { type: 'string', default: 'cpu' },
    out: { type: 'string', default: join(root, 'assets/quickstart') },
  },
})
const steps = Number(args.steps)

const CONFIG = {
  architectures: ['LlamaForCausalLM'],
  model_type: 'llama',
  hidden_size: 256,
  intermediate_size: 640,
  num_hidden_layers: 4,
  num_attention_heads: 8,
  num_key_value_heads: 8,
  hidden_act: 'silu',
  rms_norm_eps: 1e-5,
  rope_theta: 10000,
  max_position_embeddings: 512,
  tie_word_embeddings: true,
  bos_token_id: 0,
  eos_token_id: 1,
  dtype: 'bfloat16',
}
const VOCAB = 640
const SPECIAL = ['<s>', '</s>', '<pad>']

const random = generator(20)
const tokenizer = trainBpe(
  Array.from({ length: 4000 }, () => baseText(random)),
  VOCAB,
  SPECIAL,
)
const config = { ...CONFIG, vocab_size: VOCAB }
const tokenizerConfig = {
  bos_token: '<s>',
  eos_token: '</s>',
  pad_token: '<pad>',
  tokenizer_class: 'PreTrainedTokenizerFast',
  model_max_length: config.max_position_embeddings,
  clean_up_tokenization_spaces: false,
}

const scratch = join(args.out, '.scratch')
mkdirSync(scratch, { recursive: true })
await writeFolder(scratch)

const rows = Array.from({ length: Math.min(64_000, steps * 32) }, () => ({ text: baseText(random) }))
const device = await openDevice(args.device)
const { model, tokenizer: text } = await FastLanguageModel.fromPretrained(scratch, {
  fullFinetuning: true,
  loadIn4bit: false,
  dtype: 'bf16',
  device,
})
const trainer = new SFTTrainer({
  model,
  processingClass: text,
  trainDataset: new Dataset(rows, 'orders'),
  args: {
    maxSteps: steps,
    perDeviceTrainBatchSize: 32,
    learningRate: 8e-4,
    lrSchedulerType: 'cosine',
    warmupSteps: 200,
    weightDecay: 0.1,
    adamBeta2: 0.95,
    maxLength: 256,
    loggingSteps: 200,
    saveStrategy: 'no',
    outputDir: join(scratch, 'run'),
  },
})
for await (const event of trainer.stream()) {
  if (event.type === 'start') console.log(`${event.training}; ${event.steps} steps, ${event.rowTokens} tokens`)
  if (event.type === 'log')
    console.log(
      `step ${event.step}  loss ${event.loss.toFixed(4)}  grad norm ${event.gradNorm.toFixed(3)}  ${Math.round(event.tokensPerSecond)} tok/s  ${(100 * event.share).toFixed(0)} %`,
    )
}
const target = join(args.out, 'model')
rmSync(target, { recursive: true, force: true })
await model.savePretrained(target)
for await (const piece of model.generate('Please send 7 blue lamps to Omar in Cairo by Friday.\nWhich person?', { maxNewTokens: 8 }))
  process.stdout.write(piece)
console.log()
await model.dispose()
device.dispose()
rmSync(scratch, { recursive: true, force: true })

/** an untrained model: normal weights of std 0.02, norms one */
async function writeFolder(folder) {
  const C = config.hidden_size
  const F = config.intermediate_size
  const D = C / config.num_attention_heads
  const kv = config.num_key_value_heads * D
  const shapes = [
    ['model.embed_tokens.weight', [VOCAB, C]],
    ['model.norm.weight', [C]],
  ]
  for (let l = 0; l < config.num_hidden_layers; l++) {
    const p = `model.layers.${l}.`
    shapes.push(
      [`${p}input_layernorm.weight`, [C]],
      [`${p}post_attention_layernorm.weight`, [C]],
      [`${p}self_attn.q_proj.weight`, [C, C]],
      [`${p}self_attn.k_proj.weight`, [kv, C]],
      [`${p}self_attn.v_proj.weight`, [kv, C]],
      [`${p}self_attn.o_proj.weight`, [C, C]],
      [`${p}mlp.gate_proj.weight`, [F, C]],
      [`${p}mlp.up_proj.weight`, [F, C]],
      [`${p}mlp.down_proj.weight`, [C, F]],
    )
  }
  const tensors = shapes.map(([name, shape]) => {
    const r = new SeededRandom(1, name)
    const n = shape.reduce((a, b) => a * b, 1)
    const values = Float32Array.from({ length: n }, () => (shape.length === 1 ? 1 : 0.02 * r.normal()))
    return { name, dtype: 'F32', shape, data: new Uint8Array(values.buffer) }
  })
  await writeSafetensors(join(folder, 'model.safetensors'), tensors, { format: 'pt' })
  const json = (name, value) => writeFileSync(join(folder, name), JSON.stringify(value, null, 2))
  json('config.json', config)
  json('generation_config.json', { bos_token_id: 0, eos_token_id: 1 })
  json('tokenizer.json', tokenizer)
  json('tokenizer_config.json', tokenizerConfig)
}
