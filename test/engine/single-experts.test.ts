/**
 * Dropout in adapters whose targets name each expert's linears: PEFT drops every expert's rows by themselves, and so does saqr. Held against PEFT with
 * saqr's masks in the place of torch's (tools/oracle/families_dropout.py). Tensors of all experts as a whole can't drop anything.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, it } from 'vitest'
import { CpuDevice } from '../../src/devices/cpu/device.ts'
import { ReferenceDevice } from '../../src/devices/reference/device.ts'
import { readAdapterConfig } from '../../src/formats/peft/config.ts'
import { FastLanguageModel, loadDataset, type PretrainedModel, type SFTConfig, SFTTrainer } from '../../src/index.ts'
import { checkDropped } from '../parity/dropped.ts'
import { readTensors } from '../parity/family-case.ts'

const families = join(import.meta.dirname, '../fixtures/families')
const training = join(import.meta.dirname, '../fixtures/training')
const work = mkdtempSync(join(tmpdir(), 'saqr-single-experts-'))
afterAll(() => rmSync(work, { recursive: true }))
const folder = join(families, 'gpt-oss-apart')

it.each([
  ['the reference device, 4 bits', ReferenceDevice, true, 'all', 512],
  ['the CPU, 4 bits', CpuDevice, true, 'all', 512],
  ['the CPU, everything made anew, small passes', CpuDevice, false, 'recompute', 64],
] as const)('has the loss and gradients that PEFT has with the same masks: %s', async (_, Kind, loadIn4bit, policy, maxPassTokens) => {
  const device = new Kind({ threads: 2 })
  await checkDropped(folder, device, { loadIn4bit, policy, maxPassTokens })
  device.dispose()
})

const opened = (path: string) =>
  FastLanguageModel.fromPretrained(path, { device: 'cpu', dtype: 'float32', loadIn4bit: false }).then(({ model }) => model)

async function train(model: PretrainedModel, outputDir: string, args: SFTConfig): Promise<void> {
  const trainDataset = await loadDataset(join(training, 'gpt-oss/train.jsonl'))
  const common = { maxSteps: 4, saveSteps: 2, perDeviceTrainBatchSize: 2, learningRate: 5e-3, reportTo: 'none', outputDir } as const
  await new SFTTrainer({ model, trainDataset, report: 'none', args: { ...common, ...args } }).train()
}

it('is saved with a part for each expert, as it was given, and goes on from a checkpoint to the same bits', async () => {
  const base = await opened(join(training, 'gpt-oss/model'))
  const experts = base.language.opened.model.apart!('model.layers.0.mlp.experts.gate_up_proj').length
  const singles = ['gate_up_projs', 'down_projs'].flatMap((kind) => Array.from({ length: experts }, (_, e) => `${kind}.${e}`))
  const options = {
    r: 4,
    loraDropout: 0.2,
    targetModules: ['q_proj', ...singles],
    rankPattern: { '.*': 3, 'gate_up_projs.*': 2 },
    alphaPattern: { 'down_projs.*': 5 },
  }
  const adapted = () => FastLanguageModel.getPeftModel(base, options)
  const [whole, stopped] = [join(work, 'whole'), join(work, 'stopped')]
  const model = adapted()
  await train(model, whole, {})
  expect(FastLanguageModel.getPeftModel(model, options)).toBe(model)
  await train(adapted(), stopped, { resumeFromCheckpoint: join(whole, 'checkpoint-2') })
  for (const file of ['adapter_model.safetensors', 'adapter_config.json', 'optimizer.safetensors'])
    expect(readFileSync(join(stopped, 'checkpoint-4', file)).equals(readFileSync(join(whole, 'checkpoint-4', file)))).toBe(true)
  // a run is the same wherever its base lies
  expect(readFileSync(join(whole, 'checkpoint-4/saqr_run.json'), 'utf8')).not.toContain(training)
  const config = readAdapterConfig(join(whole, 'checkpoint-4'))
  expect(config.baseModelNameOrPath).toBe(join(training, 'gpt-oss/model'))
  expect(config).toMatchObject({
    loraDropout: 0.2,
    targetModules: options.targetModules,
    targetParameters: null,
    alphaPattern: { 'down_projs.*': 5 },
  })
  const tensors = readTensors(join(whole, 'checkpoint-4/adapter_model.safetensors'))
  const ofExpert = 'base_model.model.model.layers.1.mlp.experts'
  expect(tensors.get(`${ofExpert}.down_projs.1.lora_B.weight`)).toHaveLength(3 * base.language.opened.model.channels)
  // the first of two patterns counts, in a file with sorted keys too
  const given = await FastLanguageModel.fromPretrained(join(whole, 'checkpoint-4'), { device: 'cpu', dtype: 'float32', loadIn4bit: false })
  for (const name of model.language.trainables.names)
    expect(given.model.language.trainables.get(name)).toEqual(model.language.trainables.get(name))
  await given.model.dispose()
  await base.dispose()
})

it('over tensors of all experts it is refused for a new adapter; one that was trained elsewhere is used, and merged, but not trained', async () => {
  const base = await opened(join(training, 'mixtral/model'))
  expect(() => FastLanguageModel.getPeftModel(base, { targetModules: ['w1', 'w2', 'w3'], loraDropout: 0.1 })).toThrow(
    /loraDropout is 0.1, and model\.layers\.0\.mlp\.experts\.gate_up_proj is a tensor that gets a low-rank part as a whole, where PEFT has no dropout/,
  )
  const saved = join(work, 'trained-elsewhere')
  await FastLanguageModel.getPeftModel(base, { r: 2, targetModules: ['q_proj', 'w1', 'w2', 'w3'] }).savePretrained(saved)
  const given = JSON.parse(readFileSync(join(saved, 'adapter_config.json'), 'utf8'))
  writeFileSync(join(saved, 'adapter_config.json'), JSON.stringify({ ...given, lora_dropout: 0.05 }))
  const { model } = await FastLanguageModel.fromPretrained(saved, { device: 'cpu', dtype: 'float32', loadIn4bit: false })
  await model.generate([1, 5, 9], { maxNewTokens: 2 })
  await model.savePretrainedMerged(join(work, 'merged'))
  await expect(train(model, join(work, 'refused'), {})).rejects.toThrow(
    /lora_dropout of this adapter: model\.layers\.0\.mlp\.experts\.gate_up_proj gets a low-rank part as a whole, where PEFT has no dropout\. It can be used and merged/,
  )
  await model.dispose()
  await base.dispose()
})
