/** What a trainer takes, checked and in one form: rows as data sets, options in `values`, whatever place notebooks have given them. */
import { Dataset } from '../../data/dataset.ts'
import type { Row } from '../../data/rows.ts'
import { LanguageModel } from '../../engine/language-model.ts'
import { option, SaqrError, say } from '../../error.ts'
import {
  type Check,
  entriesOf,
  func,
  kind,
  orNull,
  refused,
  shown,
  signal,
  take,
  takeOptions,
  unfit,
  unknownKey,
} from '../../hub/arguments.ts'
import { Tokenizer } from '../../text/tokenizer.ts'
import { trackersCheck } from '../../track/tracker.ts'
import type { TrainerCallback } from '../callbacks.ts'
import { camel, type Fields } from './field.ts'
import { renamed } from './retired.ts'
import { memoryLimit } from './rules.ts'
import { sizeInBytes } from './schemas.ts'
import type { CheckedInit, SFTTrainerInit, TrainableModel } from './trainer-types.ts'

const ELSEWHERE = say`it belongs to the model: FastLanguageModel.getPeftModel`
const CALLED = 'not supported; the events of trainer.stream() say all that happens, and may be acted on'
const foreign: Readonly<Record<string, Check<undefined>>> = {
  peftConfig: refused(ELSEWHERE),
  quantizationConfig: refused(say`it belongs to the model: fromPretrained(…, { ${option('loadIn4bit')}: true })`),
  dataCollator: refused('rows are laid end to end by the planner; columns and options say what is learned'),
  computeMetrics: refused(CALLED),
  computeLossFunc: refused('the loss is what the options say'),
  preprocessLogitsForMetrics: refused('logits are never held whole'),
  optimizers: refused(say`the optimizer is chosen by ${option('optim')} and ${option('lrSchedulerType')}`),
  optimizerClsAndKwargs: refused(say`the optimizer is chosen by ${option('optim')}`),
}

const KEYS = ['model', 'processingClass', 'tokenizer', 'trainDataset', 'evalDataset', 'args', 'memory', 'report', 'callbacks'] as const

/** What tells one trainer from another before anything runs. */
export interface TrainerTables<F extends Fields = Fields> {
  /** its class */
  readonly name: string
  /** TRL's configuration: what `args` are resolved with */
  readonly config: F
  /** all that its command knows: what of it belongs elsewhere is told so */
  readonly verb: Fields
  /** arguments that only some trainers take */
  readonly takes: readonly ('formattingFunc' | 'refModel')[]
  /** why it doesn't take the others */
  readonly refuses?: Readonly<Record<string, string>>
}

/** What is decided when a model is opened, and where. */
const OPENING: Readonly<Record<string, string>> = {
  ...Object.fromEntries(
    ['chatTemplate', 'doubleQuant', 'fullFinetuning', 'revision', 'token'].map((name) => [name, `${name} of fromPretrained`]),
  ),
  ...Object.fromEntries(['r', 'targetModules', 'modulesToSave', 'bias'].map((name) => [name, `${name} of getPeftModel`])),
  chatTemplatePath: 'chatTemplate of fromPretrained',
  device: 'device of fromPretrained',
  threads: 'device of fromPretrained: await openDevice(…, { threads })',
  modelNameOrPath: 'the first argument of fromPretrained',
  modelRevision: 'revision of fromPretrained',
  dtype: 'dtype of fromPretrained',
  loadIn4bit: 'loadIn4bit of fromPretrained',
  useBnbNestedQuant: 'doubleQuant of fromPretrained',
  usePeft: 'FastLanguageModel.getPeftModel',
  loraR: 'r of getPeftModel',
  loraAlpha: 'loraAlpha of getPeftModel',
  loraDropout: 'loraDropout of getPeftModel',
  loraTargetModules: 'targetModules of getPeftModel',
  loraModulesToSave: 'modulesToSave of getPeftModel',
  useRslora: 'useRslora of getPeftModel',
  trainBias: 'bias of getPeftModel',
  datasetName: 'trainDataset: await loadDataset(…)',
  evalDatasetName: 'evalDataset: await loadDataset(…)',
  datasetTrainSplit: 'trainDataset: await loadDataset(…, { split })',
  datasetTestSplit: 'evalDataset: await loadDataset(…, { split })',
  datasets: 'trainDataset: Dataset.mix(…) or Dataset.join(…)',
  testSplitSize: 'trainDataset and evalDataset: the parts of trainTestSplit',
  datasetConfig: 'trainDataset: await loadDataset(…, { config })',
}

/** every name that `args` may hold */
const namesOf = ({ config }: TrainerTables) => new Set([...Object.keys(config), ...Object.keys(renamed)].map(camel))

/** @throws SaqrError OPTION_UNKNOWN, OPTION_INVALID, OPTION_REFUSED */
export function takeInit(given: unknown, tables: TrainerTables): { init: CheckedInit; values: Record<string, unknown> } {
  const keys = [...KEYS, ...tables.takes]
  const args = namesOf(tables)
  const refuses = Object.entries(tables.refuses ?? {}).map(([key, why]): [string, Check<undefined>] => [key, refused(why)])
  const others: Readonly<Record<string, Check<undefined>>> = { ...foreign, ...Object.fromEntries(refuses) }
  const init: Partial<Record<(typeof keys)[number], unknown>> = {}
  const values: Record<string, unknown> = {}
  for (const [key, value] of entriesOf(given, tables.name)) {
    if (value === undefined) continue
    if ((keys as readonly string[]).includes(key)) init[key as (typeof keys)[number]] = value
    else if (args.has(key)) values[key] = value
    else if (Object.hasOwn(others, key)) take(Array.isArray(value) && value.every((one) => one == null) ? null : value, key, others[key]!)
    else throw elsewhere(key, tables) ?? unknownKey(key, tables.name, [...keys, ...args])
  }
  let memory = init.memory
  for (const [key, value] of entriesOf(init.args, 'args')) {
    if (value === undefined) continue
    if (key === 'memory') memory ??= value
    else if (Object.hasOwn(values, key) && values[key] !== value)
      throw new SaqrError(
        'OPTION_INVALID',
        say`${option(key)} is ${shown(values[key])} beside args and ${shown(value)} in them; keep the latter`,
      )
    else if (!args.has(key) && elsewhere(key, tables)) throw elsewhere(key, tables)!
    else values[key] = value
  }
  const model = take(init.model, 'model', trainable)
  const checked = {
    model,
    processingClass: tokenizerOf(init.processingClass ?? init.tokenizer, model),
    trainDataset: rowsOf(init.trainDataset, 'trainDataset'),
    evalDataset: init.evalDataset == null ? null : rowsOf(init.evalDataset, 'evalDataset'),
    formattingFunc:
      take(init.formattingFunc ?? null, 'formattingFunc', orNull(func<(row: Row) => string>('a function from a row to its text'))) ??
      undefined,
    refModel: init.refModel == null ? null : referenceOf(init.refModel, model),
    memory: memoryLimit(take(memory ?? null, 'memory', orNull(size))),
    report: take(init.report, 'report', report),
    callbacks: take(init.callbacks ?? [], 'callbacks', callbacks),
  }
  openedAs(values, checked, tables)
  return { init: checked, values: { maxLength: lengthIn(values) ? undefined : model.maxSeqLength, ...values } }
}

const RUN = { signal }

const resume = orNull(
  kind<boolean | string>('true, false or a folder', (v) => typeof v === 'boolean' || (typeof v === 'string' && v !== '')),
)
const TRAIN = { signal, resumeFromCheckpoint: resume }

/** What `train` and `stream` take; transformers' first argument of `train` is resume_from_checkpoint. @throws SaqrError OPTION_… */
export function takeTraining(
  request: unknown,
  of: string,
  tables: TrainerTables,
): { signal?: AbortSignal; resumeFromCheckpoint?: boolean | string | null } {
  if (typeof request === 'boolean' || typeof request === 'string')
    return { resumeFromCheckpoint: take(request, 'resumeFromCheckpoint', resume) }
  refuseArgs(request, of, ['resumeFromCheckpoint'], tables)
  return takeOptions(request, of, TRAIN)
}

/** What `evaluate` takes. @throws SaqrError OPTION_… */
export function takeEvaluation(request: unknown, tables: TrainerTables): { signal?: AbortSignal } {
  refuseArgs(request, 'evaluate', [], tables)
  return takeOptions(request, 'evaluate', RUN)
}

/** for what belongs to the trainer */
function refuseArgs(request: unknown, of: string, own: readonly string[], tables: TrainerTables): void {
  const args = namesOf(tables)
  const wrong = entriesOf(request, of).find(([name, value]) => value !== undefined && args.has(name) && !own.includes(name))
  if (!wrong) return
  const [key, value] = wrong
  throw new SaqrError(
    'OPTION_INVALID',
    say`${of} takes ${['signal', ...own].join(' and ')} alone: ${option(key)} belongs to the trainer, new ${tables.name}({ …, args: { ${key}: ${shown(value)} } })`,
  )
}

const lengthIn = (values: Record<string, unknown>) => ['maxLength', 'maxSeqLength'].some((name) => values[name] !== undefined)

function elsewhere(key: string, tables: TrainerTables): SaqrError | undefined {
  if (Object.hasOwn(OPENING, key))
    return new SaqrError('OPTION_INVALID', say`${option(key)} is no option of the trainer: give it as ${OPENING[key]}`)
  const snake = Object.keys(tables.verb).find((name) => name === key && Object.hasOwn(OPENING, camel(name)))
  return snake === undefined ? undefined : elsewhere(camel(snake), tables)
}

const trainable: Check<TrainableModel> = {
  what: 'the model that FastLanguageModel gave',
  take(v) {
    const model = v as TrainableModel | null | undefined
    if (typeof v === 'object' && model?.language instanceof LanguageModel) return model
    if (typeof v === 'object' && v !== null && 'model' in v && 'tokenizer' in v)
      throw new SaqrError(
        'OPTION_INVALID',
        say`${option('model')}: expected the model, not all that fromPretrained gave: const { model, tokenizer } = await …`,
      )
    if (typeof v === 'string')
      throw new SaqrError(
        'OPTION_INVALID',
        say`${option('model')} ${shown(v)} is a name: open it first, with FastLanguageModel.fromPretrained`,
      )
    return unfit
  },
}

/** A model that scores the rows as they were: of the same vocabulary, another object than the one that is trained. */
function referenceOf(given: unknown, model: TrainableModel): TrainableModel {
  const reference = take(given, 'refModel', trainable)
  if (reference.language === model.language)
    throw new SaqrError(
      'OPTION_INVALID',
      say`${option('refModel')} is the model that is trained, which changes: leave it out, and the reference is the model as training begins`,
    )
  const [theirs, own] = [reference.language.opened.model.vocab, model.language.opened.model.vocab]
  if (theirs !== own)
    throw new SaqrError(
      'OPTION_INVALID',
      say`${option('refModel')} has a vocabulary of ${theirs} tokens, and the model one of ${own}: they must read the same tokens`,
    )
  return reference
}

const size: Check<string | number> = {
  what: 'a size such as 8GB (10⁹ bytes each), 512MiB (2²⁰) or a number of bytes',
  take: (v) => ((typeof v === 'string' || typeof v === 'number') && sizeInBytes(v) !== undefined ? v : unfit),
}

const report: Check<SFTTrainerInit['report']> = kind(
  'terminal, none or a list of trackers',
  (v) => v === undefined || v === 'terminal' || v === 'none' || trackersCheck.take(v) === v,
)

const callbacks: Check<readonly TrainerCallback[]> = {
  what: 'a list of functions (event, control) => …',
  take(v) {
    if (!Array.isArray(v)) return unfit
    if (v.every((one) => typeof one === 'function')) return v
    throw new SaqrError(
      'OPTION_INVALID',
      say`${option('callbacks')}: expected functions (event, control) => …, not ${shown(v.find((one) => typeof one !== 'function'))}; early stopping is an option, ${option('earlyStoppingPatience')}`,
    )
  },
}

function tokenizerOf(given: unknown, model: TrainableModel): Tokenizer {
  if (given == null && model.tokenizer) return model.tokenizer
  if (given instanceof Tokenizer) return given
  throw new SaqrError(
    'OPTION_INVALID',
    say`${option('processingClass')}: expected the tokenizer that fromPretrained gave, not ${shown(given)}`,
  )
}

function rowsOf(given: unknown, name: string): Dataset {
  if (given instanceof Dataset) return given
  if (Array.isArray(given)) return new Dataset(given, name)
  const hint =
    typeof given === 'string'
      ? `, a name: await loadDataset(${shown(given)}) reads it`
      : typeof given === 'object' && given !== null && 'train' in given && given.train instanceof Dataset
        ? ': take its part .train (or .test)'
        : ''
  throw new SaqrError('OPTION_INVALID', say`${option(name)}: expected a Dataset or a list of rows, not ${shown(given)}${hint}`)
}

/** Options that would say again how the model was opened may only say the same. */
function openedAs(values: Record<string, unknown>, { model, processingClass }: CheckedInit, tables: TrainerTables): void {
  const { opened } = model.language
  const { dtype } = opened.choice
  if (values.bf16 === true && dtype !== 'bf16')
    throw new SaqrError('OPTION_INVALID', say`${option('bf16')} is true, but the model was opened in f32: open it with dtype bfloat16`)
  if (values.bf16 === false && dtype === 'bf16')
    throw new SaqrError('OPTION_INVALID', say`${option('bf16')} is false, but the model was opened in bf16: open it with dtype float32`)
  const { memory, label } = opened.device.describe()
  if (values.useCpu === true && memory !== undefined)
    throw new SaqrError(
      'OPTION_INVALID',
      say`${option('useCpu')} is true, but the model lies in the memory of ${label}: open it with device cpu`,
    )
  if (typeof values.eosToken === 'string' && values.eosToken !== processingClass.eosToken)
    throw new SaqrError(
      'OPTION_INVALID',
      say`${option('eosToken')} ${shown(values.eosToken)} is not the tokenizer’s: give it to fromPretrained, so that it is saved with what is trained`,
    )
  if (values.chatTemplatePath != null) throw elsewhere('chatTemplatePath', tables)!
}
