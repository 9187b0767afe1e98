/** Whatever is handed to the public API: what can't be taken is a SaqrError, never a TypeError from inside. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { SeededRandom } from '../../src/engine/random.ts'
import * as saqr from '../../src/index.ts'
import { tinyRows, writeTinyModel } from '../cli/tiny-model.ts'

/** calls of each function */
const ROUNDS = 400
const SEED = 1

let folder = ''
let model: saqr.PretrainedModel
let peft: saqr.PretrainedModel
let tokenizer: saqr.Tokenizer
let dataset: saqr.Dataset
let jobs: saqr.FineTuningJobs
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'saqr-fuzz-'))
  await writeTinyModel(join(folder, 'model'))
  writeFileSync(join(folder, 'rows.jsonl'), tinyRows())
  ;({ model, tokenizer } = await saqr.FastLanguageModel.fromPretrained(join(folder, 'model'), { device: 'cpu', loadIn4bit: false }))
  peft = saqr.FastLanguageModel.getPeftModel(model, { r: 2 })
  dataset = await saqr.loadDataset(join(folder, 'rows.jsonl'))
  jobs = await saqr.FineTuningJobs.open({ jobsDir: join(folder, 'jobs'), models: { tiny: join(folder, 'model') } })
  // names of folders are written to, and of files looked for, here
  process.chdir(folder)
  process.env.HF_HUB_OFFLINE = '1'
  process.env.HF_HUB_CACHE = join(folder, 'cache')
})
const home = process.cwd()
afterAll(async () => {
  process.chdir(home)
  await jobs.close()
  await model.dispose()
  rmSync(folder, { recursive: true })
})

const KEYS = [
  ...['model', 'tokenizer', 'processingClass', 'trainDataset', 'evalDataset', 'args', 'memory', 'formattingFunc', 'maxLength', 'packing'],
  ...[
    'r',
    'loraAlpha',
    'loraDropout',
    'bias',
    'targetModules',
    'targetParameters',
    'modulesToSave',
    'trainableTokenIndices',
    'layersToTransform',
    'rankPattern',
    'loftqConfig',
  ],
  ...['modelName', 'dtype', 'loadIn4bit', 'device', 'revision', 'token', 'signal', 'eosToken', 'chatTemplate', 'maxSeqLength'],
  ...[
    'maxNewTokens',
    'temperature',
    'topK',
    'topP',
    'minP',
    'repetitionPenalty',
    'presencePenalty',
    'stopStrings',
    'stop',
    'logprobs',
    'topLogprobs',
    'adapter',
    'seed',
    'chat',
    'system',
    'tools',
    'split',
    'name',
    'dataFiles',
    'batched',
    'batchSize',
  ],
  ...['removeColumns', 'testSize', 'trainSize', 'shuffle', 'tokenize', 'addGenerationPrompt', 'skipSpecialTokens', 'tokenizerJson'],
  ...[
    'tokenizerConfig',
    'saveMethod',
    'max_length',
    'learningRate',
    'lossType',
    'lossWeights',
    'beta',
    'ldAlpha',
    'refModel',
    'optim',
    'outputDir',
    'role',
    'content',
    'nonsense',
    '__proto__',
    'toString',
  ],
]

/** a value of any kind, objects among them with the names that the API knows */
function anything(random: SeededRandom, depth = 0): unknown {
  const pick = <T>(list: readonly T[]): T => list[Math.floor(random.uniform() * list.length)]!
  const plain: (() => unknown)[] = [
    () => undefined,
    () => null,
    () => pick([0, 1, -1, 0.5, 7, 1e9, Number.NaN, Number.POSITIVE_INFINITY, -0]),
    () => pick([10n, true, false]),
    () => pick(['', 'x', '8GB', 'bfloat16', 'train[:9%]', 'q_proj,v_proj', '\ud800', 'a/b/c/d', './nowhere', 'false', '{% x %}']),
    () => Symbol('s'),
    () => pick([() => 1, async () => ({}), class {}, Math.max]),
    () => pick([new Date(0), /x/, new Map(), new Set([1]), new Error('e'), Object.create(null), new Uint8Array(3), new Int32Array(2)]),
    () => pick([peft, model, tokenizer, dataset, dataset.rows, model.language, [dataset], { model, tokenizer }]),
    () => pick([AbortSignal.abort(), Promise.resolve(1)]),
  ]
  if (depth > 2 || random.uniform() < 0.55) return pick(plain)()
  const length = Math.floor(random.uniform() * 4)
  if (random.uniform() < 0.35) return Array.from({ length }, () => anything(random, depth + 1))
  const made: Record<string, unknown> = {}
  for (let i = 0; i < length; i++)
    Object.defineProperty(made, pick(KEYS), { value: anything(random, depth + 1), enumerable: true, configurable: true })
  return made
}

type Call = (...args: never[]) => unknown
const F = saqr.FastLanguageModel
const calls: Record<string, Call> = {
  // what would open or train for real is given something that can't be
  fromPretrained: (a, b) => F.fromPretrained(a, b).then(({ model }) => model.dispose()),
  getPeftModel: F.getPeftModel,
  'getPeftModel of a model': (o) => F.getPeftModel(model, o).dispose(),
  forInference: F.forInference,
  forTraining: F.forTraining,
  pushToHub: saqr.pushToHub as Call,
  loadDataset: saqr.loadDataset,
  'loadDataset of a file': (...o) => saqr.loadDataset(join(folder, 'rows.jsonl'), ...(o as [])),
  openDevice: (name) => (name === 'auto' || name === 'cpu' ? null : saqr.openDevice(name)),
  SFTTrainer: (o) => new saqr.SFTTrainer(o),
  'SFTTrainer of a model': (o) => new saqr.SFTTrainer(merged({ model: peft, trainDataset: dataset }, o)),
  'SFTTrainer with args': (o) => new saqr.SFTTrainer({ model: peft, trainDataset: dataset, args: o }),
  SFTConfig: (o) => new saqr.SFTConfig(o),
  DPOTrainer: (o) => new saqr.DPOTrainer(o),
  'DPOTrainer of a model': (o) => new saqr.DPOTrainer(merged({ model: peft, trainDataset: dataset }, o)),
  'DPOTrainer with args': (o) => new saqr.DPOTrainer({ model: peft, trainDataset: dataset, args: o }),
  'DPOTrainer beside': (o) => new saqr.DPOTrainer({ model: peft, trainDataset: dataset, refModel: o }),
  DPOConfig: (o) => new saqr.DPOConfig(o),
  KTOTrainer: (o) => new saqr.KTOTrainer(o),
  'KTOTrainer with args': (o) => new saqr.KTOTrainer({ model: peft, trainDataset: dataset, args: o }),
  KTOConfig: (o) => new saqr.KTOConfig(o),
  CPOTrainer: (o) => new saqr.CPOTrainer(o),
  'CPOTrainer with args': (o) => new saqr.CPOTrainer({ model: peft, trainDataset: dataset, args: o }),
  CPOConfig: (o) => new saqr.CPOConfig(o),
  ORPOTrainer: (o) => new saqr.ORPOTrainer(o),
  'ORPOTrainer with args': (o) => new saqr.ORPOTrainer({ model: peft, trainDataset: dataset, args: o }),
  ORPOConfig: (o) => new saqr.ORPOConfig(o),
  Dataset: (a, b, c) => new saqr.Dataset(a, b, c),
  Tokenizer: (a, b) => new saqr.Tokenizer(a, b),
  SaqrError: (a, b, c) => new saqr.SaqrError(a, b, c),
}
/** methods of what the API gives */
const methods = (of: () => object, names: readonly string[]) => {
  for (const name of names) calls[name] = (...args) => (of() as Record<string, Call>)[name]!(...args)
}
methods(() => saqr.Dataset, ['join', 'mix', 'fromList'])
methods(
  () => dataset,
  [
    ...['at', 'where', 'numberOf', 'recognise', 'slice', 'take', 'skip', 'select', 'map', 'filter', 'shuffle', 'trainTestSplit'],
    ...['removeColumns', 'selectColumns', 'renameColumn'],
  ],
)
methods(
  () => tokenizer,
  [
    ...['idOf', 'tokenOf', 'encode', 'decode', 'stream', 'namesRole', 'applyChatTemplate', 'applyChatTemplateWithMask'],
    ...['savePretrained', 'fingerprint'],
  ],
)
calls.jsonl = saqr.jsonl
calls.textOutput = saqr.textOutput
calls.terminal = (a, b, c) => saqr.terminal(a, b, c)
calls['terminal of an output'] = (o) => saqr.terminal(saqr.textOutput(process.stderr), saqr.textOutput(process.stderr), o)
calls.tracked = (a, b) => saqr.tracked(a, b)
calls['SFTTrainer that reports'] = (o) => new saqr.SFTTrainer({ model: peft, trainDataset: dataset, report: o })
calls.generate = (a, b) => peft.generate(a, b).next()
// tokens of the shared one would be there for the calls after
calls.addTokens = (a, b) => new saqr.Tokenizer(tokenizer.files).addTokens(a, b)
calls.addSpecialTokens = (a) => new saqr.Tokenizer(tokenizer.files).addSpecialTokens(a)
calls.addNewTokens = saqr.addNewTokens as Call
calls['addNewTokens of a model'] = (o) => saqr.addNewTokens(peft, tokenizer, o)
calls.resizeTokenEmbeddings = (a, b) => peft.resizeTokenEmbeddings(a, b)
calls.loadAdapter = (a, b) => peft.loadAdapter(a, b)
calls.setAdapter = (a) => peft.setAdapter(a)
calls.addWeightedAdapter = (a, b, c) => peft.addWeightedAdapter(a, b, c)
calls.deleteAdapter = (a) => peft.deleteAdapter(a)
calls['generate of several'] = (a, b) => peft.generate([a, 'x'] as never, b).next()
calls.chat = (o) => peft.chat(o).dispose()
calls.savePretrained = (a, b) => peft.savePretrained(a, b)
calls.savePretrainedMerged = (a, b, c) => peft.savePretrainedMerged(a, b, c)
calls.savePretrainedGguf = (a, b, c) => peft.savePretrainedGguf(a, b, c)
calls['pushToHub of a model'] = (a, b) => peft.pushToHub(a, b)
calls.pushToHubMerged = (a, b, c) => peft.pushToHubMerged(a, b, c)
calls.pushToHubGguf = (a, b, c) => peft.pushToHubGguf(a, b, c)
calls['pushToHub of a trainer'] = (o) => trainer().pushToHub(merged({ nonsense: 1 }, o ?? {}))
const trainer = () => new saqr.SFTTrainer({ model: peft, trainDataset: dataset })
// a run would begin where there is nothing wrong
calls.train = (o) => trainer().train(merged({ nonsense: 1 }, o ?? {}))
calls['stream of a trainer'] = (o) => trainer().stream(o)
calls.evaluate = (o) => trainer().evaluate(o)
calls.saveModel = (o) => trainer().saveModel(o)
calls.FineTuningJobs = (a) => new saqr.FineTuningJobs(a)
// a folder would be taken where there is nothing wrong
calls['FineTuningJobs.open'] = (o) => saqr.FineTuningJobs.open(merged({ nonsense: 1 }, o ?? {}))
methods(
  () => jobs,
  [
    ...['createFile', 'listFiles', 'retrieveFile', 'fileContent', 'deleteFile', 'create', 'list', 'retrieve', 'listEvents'],
    ...['listCheckpoints', 'cancel', 'pause', 'resume', 'wait', 'models', 'modelFolder', 'deleteModel'],
  ],
)
calls.events = (a, b) => jobs.events(a, b).next()
calls['create of a model'] = (o) => jobs.create(merged({ model: 'tiny', training_file: 'file-none' }, o))
calls.trainOnResponsesOnly = saqr.trainOnResponsesOnly as Call
calls['trainOnResponsesOnly of a trainer'] = (o) => saqr.trainOnResponsesOnly(trainer(), o)

function merged(base: object, over: unknown): never {
  return (typeof over === 'object' && over !== null && !Array.isArray(over) ? { ...base, ...over } : over) as never
}

it('has a call for every export', () => {
  const exported = Object.keys(saqr)
  const tried = Object.keys(calls)
  expect(exported.filter((name) => name !== 'FastLanguageModel' && !tried.includes(name))).toEqual([])
  expect(Object.keys(saqr.FastLanguageModel).filter((name) => !tried.includes(name))).toEqual([])
  const own = (of: object) =>
    Object.getOwnPropertyNames(Object.getPrototypeOf(of)).filter(
      (name) => typeof Object.getOwnPropertyDescriptor(Object.getPrototypeOf(of), name)!.value === 'function',
    )
  const all = [
    ...own(dataset),
    ...own(tokenizer),
    ...own(peft),
    ...own(jobs),
    ...own(new saqr.SFTTrainer({ model: peft, trainDataset: dataset })),
  ]
  const without = ['constructor', 'countParameters', 'printTrainableParameters', 'dispose', 'close']
  expect(all.filter((name) => !without.includes(name) && !tried.includes(name))).toEqual([])
})

it.each(Object.keys(calls))('%s', async (name) => {
  const random = new SeededRandom(SEED, name)
  for (let round = 0; round < ROUNDS; round++) {
    const args = Array.from({ length: Math.floor(random.uniform() * 4) }, () => anything(random))
    try {
      await calls[name]!(...(args as never[]))
    } catch (error) {
      if (error instanceof saqr.SaqrError || (error as Error)?.name === 'AbortError') continue
      throw new Error(`${name}, round ${round}: ${String(error)}`, { cause: error })
    }
  }
})
