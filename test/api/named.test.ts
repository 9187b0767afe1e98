/** What a program writes is taken where its meaning is plain, and named where it is not. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  FastLanguageModel,
  type LoadOptions,
  type PeftOptions,
  type PretrainedModel,
  SFTTrainer,
  type SFTTrainerInit,
} from '../../src/index.ts'
import { writeTinyModel } from '../cli/tiny-model.ts'

const rows = [{ text: 'once upon a time' }]
let folder = ''
let model: PretrainedModel
let peft: PretrainedModel
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'saqr-named-'))
  await writeTinyModel(join(folder, 'model'))
  ;({ model } = await FastLanguageModel.fromPretrained(join(folder, 'model'), { device: 'cpu', loadIn4bit: false }))
  peft = FastLanguageModel.getPeftModel(model, { r: 2 })
})
afterAll(async () => {
  await model.dispose()
  rmSync(folder, { recursive: true })
})

const dtypeOf = async (options: LoadOptions) => {
  const { model } = await FastLanguageModel.fromPretrained(join(folder, 'model'), { device: 'cpu', ...options })
  const { choice } = model.language.opened
  await model.dispose()
  return choice
}

describe('taken', () => {
  it.each([
    [{ dtype: 'torch.bfloat16' }, { dtype: 'bf16', loadIn4bit: true }],
    [
      { dtype: 'float32', loadIn4bit: false },
      { dtype: 'f32', loadIn4bit: false },
    ],
    [
      { dtype: null, loadIn16bit: true },
      { dtype: 'bf16', loadIn4bit: false },
    ],
    [{ fullFinetuning: true }, { loadIn4bit: false }],
  ] as const)('fromPretrained(%j)', async (options, choice) => {
    expect(await dtypeOf(options as LoadOptions)).toMatchObject(choice)
  })

  it('rows as a list, a budget as a text, the model’s own tokenizer', () => {
    const trainer = new SFTTrainer({ model: peft, trainDataset: rows, memory: '1GB', args: { maxSteps: 1 } })
    expect(trainer.options).toMatchObject({ maxSteps: 1, maxLength: 2048 })
  })
})

describe('named', () => {
  it.each<[object, RegExp]>([
    [{ loadIn4bit: 'false' }, /loadIn4bit: expected true or false, not 'false'/],
    [{ loadIn4Bit: true }, /fromPretrained has no option loadIn4Bit: did you mean loadIn4bit\?/],
    [{ load_in_4bit: true }, /it is written loadIn4bit here/],
    [{ dtype: 'float16' }, /dtype 'float16' is refused: f16 needs loss scaling/],
    [{ dtype: 'int8' }, /dtype: expected bfloat16 or float32 or null, not 'int8'/],
    [{ loadIn8bit: true }, /loadIn8bit true is refused: not supported yet; use loadIn4bit/],
    [{ device: 'gpu' }, /device: expected auto, cpu, cuda, cuda:N, reference or an open device, not 'gpu'/],
    [{ maxSeqLength: '2048' }, /maxSeqLength: expected a whole number of at least 1 or null, not '2048'/],
    [{ loadIn16bit: true, loadIn4bit: true }, /loadIn16bit contradicts loadIn4bit/],
  ])('fromPretrained(%j)', async (options, message) => {
    await expect(FastLanguageModel.fromPretrained(join(folder, 'model'), options as LoadOptions)).rejects.toThrow(message)
  })

  it.each<[object, RegExp]>([
    [{ targetModules: 'q_proj,v_proj' }, /is one name with commas in it, which no module has: give a list, q_proj v_proj/],
    [{ targetModules: ['q_proj', 'v_porj'] }, /targetModules names v_porj, which is no module of this llama model: did you mean v_proj\?/],
    [{ targetModules: ['Wqkv'] }, /target(Modules|_modules).*Wqkv/],
    [{ modulesToSave: ['lm_haed'] }, /modulesToSave names lm_haed, .* did you mean lm_head\?/],
    [{ loraR: 8, r: 8 }, /loraR and r mean the same; keep the latter/],
    [{ useDora: true }, /useDora true is refused: DoRA is not supported yet; use plain LoRA or useRslora/],
    [{ loftqConfig: { loftqBits: 4 } }, /loftqConfig .* is refused: LoftQ is not supported yet/],
    [{ initLoraWeights: 'pissa' }, /initLoraWeights 'pissa' is refused/],
  ])('getPeftModel(%j)', (options, message) => {
    expect(() => FastLanguageModel.getPeftModel(model, options as PeftOptions)).toThrow(message)
  })

  it('getPeftModel over an adapter: the same is there already, another is refused', () => {
    expect(FastLanguageModel.getPeftModel(peft, { r: 2, useGradientCheckpointing: true })).toBe(peft)
    const reordered = (peft.language.adapter.config!.targetModules as string[]).toReversed()
    expect(FastLanguageModel.getPeftModel(peft, { targetModules: reordered })).toBe(peft)
    expect(() => FastLanguageModel.getPeftModel(peft, { r: 4, loraAlpha: 3 })).toThrow(
      /^this model has an adapter already \(LoRA r 2\), of another r, loraAlpha: train it as it is/,
    )
  })

  it.each<[object, RegExp]>([
    [{ model: undefined }, /model: expected the model that FastLanguageModel gave, not undefined/],
    [{ model: 'owner/name' }, /is a name: open it first, with FastLanguageModel\.fromPretrained/],
    [{ trainDataset: './rows' }, /trainDataset: expected a Dataset or a list of rows, not '\.\/rows', a name: await loadDataset/],
    [{ trainDataset: Promise.resolve() }, /not a promise \(is an await missing\?\)/],
    [{ trainDatset: rows }, /SFTTrainer has no option trainDatset: did you mean trainDataset\?/],
    [{ memory: '1 apple' }, /memory: expected a size such as 8GB .* not '1 apple'/],
    [{ callbacks: [() => 1] }, /callbacks .* is refused: not supported; the events of trainer\.stream\(\)/],
    [{ peftConfig: { r: 8 } }, /peftConfig .* is refused: it belongs to the model/],
    [{ args: { learningRat: 1 } }, /unknown option learningRat; did you mean learningRate\?/],
    [{ args: { lr: 1 } }, /unknown option lr; did you mean learningRate\?/],
    [{ args: { loraR: 8 } }, /loraR is no option of the trainer: give it as r of getPeftModel/],
    [{ args: { bf16: false } }, /bf16 is false, but the model was opened in bf16/],
    [{ args: { eosToken: '<s>' } }, /eosToken '<s>' is not the tokenizer’s: give it to fromPretrained/],
    [{ args: { chatTemplatePath: 'x.jinja' } }, /give it as chatTemplate of fromPretrained/],
    [{ args: { warmupRatio: 5 } }, /warmupRatio 5 is no share of all steps.* for a number of steps there is warmupSteps/],
    [{ maxSeqLength: 8, args: { maxLength: 9 } }, /maxSeqLength and maxLength mean the same/],
  ])('SFTTrainer(%j)', (init, message) => {
    const all = { model: peft, trainDataset: rows, ...init } as unknown as SFTTrainerInit
    expect(() => new SFTTrainer(all)).toThrow(message)
  })

  it('a function of many rows where one of a row is wanted', async () => {
    const trainer = new SFTTrainer({
      model: peft,
      trainDataset: rows,
      formattingFunc: ((row: { text: string }) => [row.text]) as never,
      args: { outputDir: join(folder, 'out') },
    })
    await expect(trainer.train()).rejects.toThrow(
      /row 1: formattingFunc is given one row and must return its text, not .* map\(…, \{ batched: true \}\)/,
    )
  })
})
