/**
 * What options mean together: combinations that contradict each other, and values that follow from others.
 */
import { isAllLinear } from '../../adapters/match.ts'
import { mixtureOf } from '../../data/load-mixture.ts'
import type { ResponseParts } from '../../data/responses.ts'
import type { MemoryLimit } from '../../engine/budget.ts'
import { type Message, option, SaqrError, say } from '../../error.ts'
import { argumentsOf } from '../optim.ts'
import { followsMetric, type ScheduleOptions, scheduleOf } from '../schedule/schedule.ts'
import type { VerbOptions } from './common.ts'
import type { CommonOptions } from './common-config.ts'
import type { TrainingOptions } from './config.ts'
import { sizeInBytes, unitOf } from './schemas.ts'

/** @throws SaqrError OPTION_INVALID for combinations that can't be carried out */
export function checkTraining(o: CommonOptions): void {
  intervals(o)
  schedule(o)
  best(o)
  argumentsOf(o)
  for (const name of ['loraplusLrRatio', 'embeddingLearningRate'] as const)
    if (o[name] !== null && o.learningRate === 0) invalid(say`${option(name)}: the learning rate is 0, and this is a share of it`)
}

/** @throws SaqrError OPTION_INVALID */
export function checkPacking(o: TrainingOptions): void {
  responseParts(o)
  const packed = o.packing ? 'packing' : o.evalPacking ? 'evalPacking' : null
  if (packed !== null && o.maxLength === null)
    invalid(say`${option(packed)} needs ${option('maxLength')}, which is the length of a pack; give it a number`)
}

/** @throws SaqrError OPTION_INVALID */
export function checkSft(o: VerbOptions & TrainingOptions): void {
  checkVerb(o)
  checkPacking(o)
}

/** @throws SaqrError OPTION_INVALID */
export function checkVerb(o: VerbOptions): void {
  checkRecipe(o)
  if (o.datasetName === null && o.datasets.length === 0)
    invalid(say`nothing to train on: name a file or a Hub data set with ${option('datasetName')}`)
  if (o.modelNameOrPath === null) invalid(say`no model: name a Hub id, a folder or a .gguf file with ${option('modelNameOrPath')}`)
}

/** All but what the model and the rows are called. @throws SaqrError OPTION_INVALID */
export function checkRecipe(o: VerbOptions): void {
  checkTraining(o)
  memoryLimit(o.memory)
  targetModules(o.loraTargetModules)
  mixtureOf(o.datasets)
  if (o.useCpu && o.device.startsWith('cuda'))
    invalid(say`${option('useCpu')} contradicts ${option('device')} ${o.device}; leave one of them out`)
}

function intervals(o: CommonOptions): void {
  if (o.loggingStrategy === 'steps' && o.loggingSteps === 0)
    invalid(say`${option('loggingSteps')} is 0; use ${option('loggingStrategy')} no to log nothing`)
  if (o.saveStrategy === 'steps' && o.saveSteps === 0)
    invalid(say`${option('saveSteps')} is 0; use ${option('saveStrategy')} no to save no checkpoints`)
  if (o.evalStrategy === 'steps' && !o.evalSteps && o.loggingSteps === 0)
    invalid(say`${option('evalStrategy')} steps needs ${option('evalSteps')} or ${option('loggingSteps')} above 0`)
}

/** The best evaluation is chosen among those that have a checkpoint, so both have to come together. */
function best(o: CommonOptions): void {
  const asking = [
    o.loadBestModelAtEnd && say`${option('loadBestModelAtEnd')}`,
    o.saveStrategy === 'best' && say`${option('saveStrategy')} best`,
    o.earlyStoppingPatience !== null && say`${option('earlyStoppingPatience')}`,
  ].find((one) => one !== false)
  if (!asking) return
  if (o.evalStrategy === 'no') invalid(say`${asking} follows the evaluation rows: set ${option('evalStrategy')} to steps or epoch`)
  if (!o.loadBestModelAtEnd || o.saveStrategy === 'best') return
  if (o.saveStrategy !== o.evalStrategy)
    invalid(
      say`${asking} needs checkpoints where it evaluates: ${option('evalStrategy')} is ${o.evalStrategy}, ${option('saveStrategy')} ${o.saveStrategy}; make them the same, or ${option('saveStrategy')} best`,
    )
  const [saves, evaluates] = [o.saveSteps, evalSteps(o)]
  // shares of all steps are compared in millionths
  const whole = (n: number) => Math.round(n * (saves < 1 ? 1e6 : 1))
  if (o.saveStrategy === 'steps' && (saves < 1 !== evaluates < 1 || whole(saves) % whole(evaluates) !== 0))
    invalid(
      say`${asking} needs checkpoints where it evaluates: ${option('saveSteps')} ${saves} is no multiple of ${option('evalSteps')} ${evaluates}`,
    )
}

/** Both parts, or null where answers are not learned alone. @throws SaqrError OPTION_INVALID for one without the other, or beside what says it otherwise */
export function responseParts(
  o: Pick<TrainingOptions, 'trainOnResponsesOnly' | 'instructionPart' | 'responsePart' | 'assistantOnlyLoss' | 'completionOnlyLoss'>,
): ResponseParts | null {
  const { instructionPart, responsePart } = o
  if (!o.trainOnResponsesOnly && instructionPart === null && responsePart === null) return null
  if (instructionPart === null || responsePart === null)
    invalid(
      say`answers are found by what stands before questions and before answers: give both ${option('instructionPart')} and ${option('responsePart')}, as they stand in the rows; without them, ${option('assistantOnlyLoss')} learns the answers of messages and ${option('completionOnlyLoss')} those of prompt and completion`,
    )
  const other = o.assistantOnlyLoss ? 'assistantOnlyLoss' : o.completionOnlyLoss ? 'completionOnlyLoss' : null
  if (other !== null) invalid(say`${option('responsePart')} and ${option(other)} each say what is learned: keep one of them`)
  return { instructionPart, responsePart }
}

/** A run's steps are not known yet: a schedule of as many as its warm-up says whether its arguments are right. */
function schedule(o: CommonOptions): void {
  if (followsMetric(o.lrSchedulerType) && o.evalStrategy === 'no')
    invalid(
      say`${option('lrSchedulerType')} ${o.lrSchedulerType} follows the evaluation rows: set ${option('evalStrategy')} to steps or epoch`,
    )
  scheduleOf(scheduleOptions(o, 1), 1)
}

/** `steps`: of the whole run */
export function scheduleOptions(o: CommonOptions, steps: number): ScheduleOptions {
  const { lrSchedulerType: type, lrSchedulerKwargs: kwargs, learningRate } = o
  if (typeof kwargs === 'string') invalid(say`${option('lrSchedulerKwargs')} ${kwargs}: expected a mapping of names to values`)
  return { type, learningRate, warmup: stepsOf(o.warmupSteps, steps), kwargs: kwargs ?? {} }
}

/** A plain number below this is no number of bytes that anybody means. */
const LEAST = 2 ** 20

/** @throws SaqrError OPTION_INVALID for what is no size, or a number that may be of anything */
export function memoryLimit(memory: number | string | null): MemoryLimit | null {
  if (memory === null) return null
  const bytes = typeof memory === 'string' || Number.isFinite(memory) ? sizeInBytes(memory) : undefined
  if (bytes === undefined) invalid(say`${option('memory')} ${memory}: expected a size such as 8GB, 512MiB or a number of bytes`)
  if (bytes < LEAST && /^[\d.\s]+$/.test(String(memory)))
    invalid(
      say`${option('memory')} ${memory}: ${memory} of what? Write ${memory}GB, ${memory}GiB or ${memory}MB; a number alone counts bytes`,
    )
  return { bytes, unit: unitOf(memory) }
}

function invalid(message: Message): never {
  throw new SaqrError('OPTION_INVALID', message)
}

/** Steps of a whole run that an interval means: a share of all steps (rounded up) or a number of them. */
export function stepsOf(interval: number, maxSteps: number): number {
  return interval < 1 ? Math.ceil(interval * maxSteps) : Math.trunc(interval)
}

/** eval_steps as HF has it: where it isn't set, logging_steps. */
export function evalSteps(o: Pick<CommonOptions, 'evalSteps' | 'loggingSteps'>): number {
  return o.evalSteps || o.loggingSteps
}

/** lora_target_modules for the adapter: one plain name is a list of one, all-linear in a list what it is alone; TRL's CLI takes it for a regular expression, which no path matches whole. @throws SaqrError OPTION_INVALID for names with commas between them */
export function targetModules(modules: VerbOptions['loraTargetModules']): string | readonly string[] | null {
  const listed = [modules ?? []].flat().find((name) => /^[\w.]+(\s*,\s*[\w.]+)+,?$/.test(name.trim()))
  if (listed !== undefined)
    invalid(
      say`${option('targetModules')} ${listed} is one name with commas in it, which no module has: give a list, ${listed.split(/\s*,\s*/).join(' ')}`,
    )
  if (typeof modules === 'object' && modules?.length === 1 && isAllLinear(modules[0]!)) return modules[0]!
  return typeof modules === 'string' && modules !== 'all-linear' && /^[\w.-]+$/.test(modules) ? [modules] : modules
}
