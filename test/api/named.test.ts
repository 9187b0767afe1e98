/** What a program writes is taken where its meaning is plain, and named where it is not. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
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
    [{ fullFinetuning: true, loadIn4bit: true }, /fullFinetuning contradicts loadIn4bit: weights in 4 bits can’t be trained/],
    [{ doubleQuant: true, loadIn4bit: false }, /doubleQuant has no effect without loadIn4bit: leave it out/],
    [{ doubleQuant: true, loadIn16bit: true }, /doubleQuant has no effect/],
    [{ doubleQuant: true, fullFinetuning: true }, /doubleQuant has no effect/],
    [{ revision: 'v2' }, /revision v2 has no effect on a path: the files are taken as they lie there/],
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
    [{ layersPattern: 'layers' }, /layersPattern has no effect without layersToTransform: an adapter would be in every block/],
    [{ layersToTransform: [0, 9] }, /layersToTransform names block 9; this model has 2, from 0 to 1/],
    [{ excludeModules: ['v_porj'] }, /excludeModules names v_porj, .* did you mean v_proj\?/],
    [{ targetModules: ['q_proj'], rankPattern: { v_proj: 4 } }, /rankPattern names v_proj, and no module that has an adapter is called so/],
    [{ alphaPattern: { q_porj: 4 } }, /alphaPattern names q_porj, and no module/],
    [{ initLoraWeights: 'pissa' }, /initLoraWeights 'pissa' is refused/],
  ])('getPeftModel(%j)', (options, message) => {
    expect(() => FastLanguageModel.getPeftModel(model, options as PeftOptions)).toThrow(message)
  })

  it('patterns and layers that mean something are taken', () => {
    const options = { layersToTransform: [1], layersPattern: 'layers', excludeModules: ['o_proj'], rankPattern: { 'q.*': 4 } }
    expect(FastLanguageModel.getPeftModel(model, { ...options, alphaPattern: { 'layers.1.self_attn.k_proj': 4 } })).toBeDefined()
    expect(FastLanguageModel.getPeftModel(model, { layersPattern: null })).toBeDefined()
  })

  const trainer = (init: object) => new SFTTrainer({ model: peft, trainDataset: rows, ...init } as unknown as SFTTrainerInit)

  it.each<[unknown, RegExp]>([
    [{ resumeFromCheckpoint: 3 }, /^resumeFromCheckpoint: expected true, false or a folder or null, not 3/],
    ['out/checkpoint-2', /^resumeFromCheckpoint out\/checkpoint-2: there is no such folder/],
    [{ maxSteps: 3 }, /^train takes signal and resumeFromCheckpoint alone: maxSteps belongs to the trainer, .* args: \{ maxSteps: 3 \}/],
    [{ singal: null }, /train has no option singal: did you mean signal\?/],
  ])('train(%j)', async (request, message) => {
    await expect(trainer({}).train(request as never)).rejects.toThrow(message)
  })

  it('what has no effect on the way, in the notes; what has none for a program that evaluates is not told', () => {
    expect(
      trainer({ evalDataset: rows, args: { evalSteps: 2, perDeviceEvalBatchSize: 2, lrSchedulerType: 'constant', warmupSteps: 2 } }).notes,
    ).toEqual([
      'warmupSteps has no effect with this lrSchedulerType, which does not warm up',
      'evalSteps has no effect without evalStrategy steps',
      'evalDataset has no effect without evalStrategy steps or epoch, but where evaluate() is called',
    ])
    expect(trainer({ evalDataset: rows, args: { evalStrategy: 'epoch' } }).notes).toEqual([])
  })

  it.each<[unknown, object, RegExp]>([
    ['a', { topP: 0.5, seed: 1 }, /^topP and seed have no effect without temperature or doSample: the likeliest token is always taken/],
    ['a', { topK: 3, doSample: false }, /^topK has no effect/],
    ['a', { doSample: true, temperature: 0 }, /^doSample true contradicts temperature 0, at which nothing is drawn/],
    ['a', { doSample: false, temperature: 0.7 }, /^doSample false contradicts temperature 0\.7, at which tokens are drawn/],
    [
      'a',
      { tools: [{ type: 'function' }] },
      /^tools goes into a chat template, and the prompt does not: leave it out, or set chat to true/,
    ],
    [[{ role: 'user', content: 'a' }], { chat: false }, /^messages go into the chat template: leave chat false out/],
    [[1, 2], { chat: true }, /^token ids are taken as they are: leave chat out/],
    [[1, 2], { system: 'b' }, /^system goes into a chat template, and the prompt does not: leave it out, or give a text or messages/],
  ])('generate(%j, %j)', async (prompt, options, message) => {
    await expect(async () => {
      for await (const _ of model.generate(prompt as string, options)) break
    }).rejects.toThrow(message)
  })

  it('generate takes what says the same, and says why it ended', async () => {
    const asked = async (options: object) => {
      const answer = model.generate([1, 2, 3], { maxNewTokens: 2, ...options })
      let next = await answer.next()
      while (!next.done) next = await answer.next()
      return next.value
    }
    for (const options of [
      { topK: 0, topP: 1 },
      { temperature: 0, topP: 0.5, seed: 1 },
      { doSample: false, temperature: 0 },
      { tools: [] },
    ])
      expect(['end', 'length']).toContain(await asked(options))
    const { maxPositions } = model.language.opened.model
    const long = model.generate(Array(maxPositions - 2).fill(1), { maxNewTokens: 50 })
    let next = await long.next()
    let pieces = 0
    for (; !next.done; next = await long.next()) pieces++
    expect([pieces <= 3, next.value]).toEqual([true, 'positions'])
  }, 60_000)

  it('getPeftModel over an adapter: the same is there already, another is refused', () => {
    expect(FastLanguageModel.getPeftModel(peft, { r: 2, useGradientCheckpointing: true })).toBe(peft)
    const reordered = (peft.language.adapter.config!.targetModules as string[]).toReversed()
    expect(FastLanguageModel.getPeftModel(peft, { targetModules: reordered })).toBe(peft)
    expect(() => FastLanguageModel.getPeftModel(peft, { r: 4, loraAlpha: 3 })).toThrow(
      /^this model has an adapter already \(LoRA r 2\), of another r, loraAlpha: train it as it is/,
    )
  })

  it('useCpu, of a model that lies in the memory of a device', () => {
    const init = { model: peft, trainDataset: rows, args: { useCpu: true } }
    expect(() => new SFTTrainer(init)).not.toThrow()
    const { device } = peft.language.opened
    const card = { ...device.describe(), memory: 2 ** 30, label: 'a card' }
    const describes = vi.spyOn(device, 'describe').mockReturnValue(card)
    try {
      expect(() => new SFTTrainer(init)).toThrow(/^useCpu is true, but the model lies in the memory of a card: open it with device cpu$/)
    } finally {
      describes.mockRestore()
    }
  })

  it.each<[object, RegExp]>([
    [{ model: undefined }, /model: expected the model that FastLanguageModel gave, not undefined/],
    [{ model: 'owner/name' }, /is a name: open it first, with FastLanguageModel\.fromPretrained/],
    [{ trainDataset: './rows' }, /trainDataset: expected a Dataset or a list of rows, not '\.\/rows', a name: await loadDataset/],
    [{ trainDataset: Promise.resolve() }, /not a promise \(is an await missing\?\)/],
    [{ trainDatset: rows }, /SFTTrainer has no option trainDatset: did you mean trainDataset\?/],
    [{ memory: '1 apple' }, /memory: expected a size such as 8GB .* not '1 apple'/],
    [{ callbacks: [{ onLog: () => 1 }] }, /callbacks: expected functions \(event, control\) => …, not /],
    [{ computeMetrics: () => 1 }, /computeMetrics .* is refused: not supported; the events of trainer\.stream\(\)/],
    [{ peftConfig: { r: 8 } }, /peftConfig .* is refused: it belongs to the model/],
    [{ args: { learningRat: 1 } }, /unknown option learningRat; did you mean learningRate\?/],
    [{ args: { lr: 1 } }, /unknown option lr; did you mean learningRate\?/],
    [{ args: { loraR: 8 } }, /loraR is no option of the trainer: give it as r of getPeftModel/],
    [{ args: { bf16: false } }, /bf16 is false, but the model was opened in bf16/],
    [{ args: { eosToken: '<s>' } }, /eosToken '<s>' is not the tokenizer’s: give it to fromPretrained/],
    [{ args: { chatTemplatePath: 'x.jinja' } }, /give it as chatTemplate of fromPretrained/],
    [{ args: { chatTemplate: 'x' } }, /chatTemplate is no option of the trainer: give it as chatTemplate of fromPretrained/],
    [{ args: { datasetTestSplit: 'test' } }, /datasetTestSplit is no option of the trainer: give it as evalDataset: await loadDataset/],
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
