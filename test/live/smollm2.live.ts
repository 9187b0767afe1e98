/**
 * A real small model, SmolLM2-135M-Instruct from its GGUF file, against transformers and PEFT: what the file holds, one batch's
 * logits, loss and LoRA gradients in f32, and what `saqr sft` makes of it, read back by PEFT.
 */
import { createHash } from 'node:crypto'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { sft } from '../../src/cli/verbs/sft.ts'
import { CpuDevice } from '../../src/devices/cpu/device.ts'
import { loadAdapter } from '../../src/engine/load-adapter.ts'
import { OpenedModel } from '../../src/engine/opened-model.ts'
import { PassRunner } from '../../src/engine/runner.ts'
import { FastLanguageModel } from '../../src/fast-language-model.ts'
import { openCheckpoint } from '../../src/models/checkpoint.ts'
import { Tokenizer } from '../../src/text/tokenizer.ts'
import { sft as objective } from '../../src/train/objectives/sft.ts'
import { commandLine } from '../cli/saqr.ts'
import { logitsOneByOne } from '../generate/texts.ts'
import { distance, expectedOf, readTensors, rowsOf } from '../parity/family-case.ts'
import { oracle, oracleInto } from './oracle.ts'
import { json } from './train.ts'

const root = await oracle('smollm2')
const file = json(join(root, 'file.json'))
const checkpoint = openCheckpoint(file.path)
const rows = rowsOf(root)

/** f32 sums in another order than torch's: within three times torch's own distance from f64, or 1e-5 */
const bound = (own: number) => Math.max(1e-5, 3 * own)

const device = new CpuDevice({ threads: 2 })
afterAll(() => device.dispose())

describe('the file', () => {
  it('has the tensors that transformers loads, bit for bit', () => {
    const ours = [...checkpoint.tensors.values()].map((t) => [t.name, createHash('sha256').update(t.load('f32')).digest('hex')])
    expect(Object.fromEntries(ours)).toEqual(file.tensors)
  })
  it.each(Object.keys(checkpoint.config).filter((key) => key !== 'architectures'))('config: %s', (key) => {
    const [ours, theirs] = [checkpoint.config[key], file.config[key]]
    // the file holds f32: saqr gives the decimal number it was made from
    expect(typeof ours === 'number' ? Math.fround(ours) : ours).toEqual(typeof theirs === 'number' ? Math.fround(theirs) : theirs)
  })
  it('has the same chat template and token ids', () => {
    const tokenizer = new Tokenizer(checkpoint.tokenizer!, { modelType: 'llama' })
    expect(tokenizer.chatTemplate).toBe(file.template)
    for (const { text, ids } of json(join(root, 'texts.json'))) expect(tokenizer.encode(text), JSON.stringify(text)).toEqual(ids)
  })
})

describe('a batch of chats with LoRA on all seven projections, in f32', () => {
  const expected = expectedOf(root) as ReturnType<typeof expectedOf> & { logits: Record<string, number> }
  const theirs = readTensors(join(root, 'expected.safetensors'))
  const opened = new OpenedModel(device, checkpoint, { dtype: 'f32', loadIn4bit: false, doubleQuant: false })
  const model = loadAdapter(opened, join(root, 'adapter'))
  afterAll(() => model.disposeAdapter())

  it.each(Object.keys(expected.logits))('logits of row %s', async (i) => {
    expect(distance(await logitsOneByOne(model, rows[Number(i)]!.ids), theirs.get(`logits.${i}`)!)).toBeLessThan(bound(expected.logits[i]!))
  })

  // the rows begin with the same system message, which is computed once
  it('loss and every gradient', async () => {
    const { trainables } = model
    const runner = new PassRunner(device, {
      model: opened.model,
      adapter: opened.adapter(model.spec, true),
      activation: 'f32',
      layout: trainables.layout,
      policy: () => () => 'all',
      score: objective.score,
      gradients: true,
    })
    const laid = objective.layOut([rows], { maxPassTokens: 512, prefixSharing: true, quantum: device.describe().tokenQuantum })
    const { passes } = laid
    expect(passes.map((pass) => pass.computedTokens < pass.rowTokens)).toEqual([true])
    const [pass] = passes
    const loss =
      objective.loss.sum(pass!, await runner.run(pass!, { seed: 0, step: 0, lossScale: 1 / pass!.targets }), laid) / pass!.targets
    runner.dispose()
    expect(Math.abs(loss - expected.loss)).toBeLessThan(1e-5 * expected.loss)
    const names = trainables.names.map((name) => `base_model.model.${name}`)
    expect(names.sort()).toEqual(Object.keys(expected.gradients).sort())
    for (const [key, { distance: own }] of Object.entries(expected.gradients)) {
      const ours = trainables.get(key.replace('base_model.model.', ''), 'gradients')
      expect(distance(ours, theirs.get(`grad.${key}`)!), key).toBeLessThan(bound(own))
    }
  })
})

describe('three steps of saqr sft', async () => {
  const [adapter, merged] = [join(root, 'trained'), join(root, 'merged')]
  const options = {
    model_name_or_path: file.path,
    dataset_name: join(root, 'train.jsonl'),
    output_dir: adapter,
    max_steps: '3',
    logging_steps: '1',
    per_device_train_batch_size: '4',
    learning_rate: '2e-3',
    dtype: 'float32',
    lora_r: '8',
    device: 'cpu',
  }
  const flags = Object.entries(options).flatMap(([name, value]) => [`--${name}`, value])
  const { code, out, err } = await commandLine({ sft })('sft', ...flags, '--use_peft', '--no_bf16', '--lora_target_modules', 'all-linear')
  if (code !== 0) throw new Error(`saqr sft ended with ${code}:\n${err}\n${out}`)
  const { model } = await FastLanguageModel.fromPretrained(adapter, { loadIn4bit: false, dtype: 'f32' })
  await model.savePretrainedMerged(merged)
  const ours = await logitsOneByOne(model.language, rows[0]!.ids)
  await model.dispose()
  await oracleInto(root, 'smollm2', '--adapter', adapter, '--merged', merged)
  const said = readTensors(join(root, 'said.safetensors'))
  const { distance: own } = json(join(root, 'said.json'))

  it('lower the loss', () => {
    const losses = json(join(adapter, 'checkpoint-3/trainer_state.json')).log_history.map((entry: { loss: number }) => entry.loss)
    expect(losses).toHaveLength(3)
    expect(losses[2]).toBeLessThan(losses[0])
  })
  it('make an adapter that PEFT opens over the same base, to the same logits', () => {
    expect(distance(said.get('base')!, said.get('adapter')!)).toBeGreaterThan(1e-2)
    expect(distance(ours, said.get('adapter')!)).toBeLessThan(bound(own))
  })
  it('make a merged checkpoint that transformers opens, to the same logits', () => {
    // W + s·B·A is rounded to f32 once more: a rounding of the size of f32's own in a product
    expect(distance(said.get('merged')!, said.get('adapter')!)).toBeLessThan(bound(own))
  })
})
