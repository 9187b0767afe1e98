/**
 * checkpoint-N/: the model's trained part, trainer_state.json and the tokenizer as transformers lays them out; and what makes a resumed run
 * the same run to the bit: the optimiser's state (and f32 master weights where the model file is rounded) in optimizer.safetensors, the
 * run's own facts in saqr_run.json. A checkpoint appears whole or not at all.
 */
import { existsSync, readdirSync, rmSync } from 'node:fs'
import { basename, join } from 'node:path'
import { readAdapterOver } from '../engine/adapter-names.ts'
import type { LanguageModel } from '../engine/language-model.ts'
import { takeValues } from '../engine/load-adapter.ts'
import type { Optimizer } from '../engine/optimizer.ts'
import { saveTrained } from '../engine/save.ts'
import type { SavedBytes } from '../engine/store-chunks.ts'
import { Message, option, SaqrError, say } from '../error.ts'
import { isObject, type JsonObject, readJsonObject, stringifyJson } from '../formats/json.ts'
import { PEFT_PREFIX } from '../formats/peft/read.ts'
import { readSafetensors } from '../formats/safetensors/read.ts'
import { type TensorToWrite, writeSafetensors } from '../formats/safetensors/write.ts'
import { readRange, writeFileAtomic, writeFolderAtomic } from '../hub/files.ts'
import { type Best, NO_BEST } from './best.ts'
import { differences, type Facts, type Identity, LATER, WEIGHTS } from './identity.ts'
import type { Means } from './objectives/objective.ts'
import { readTrainerState, type TrainerState, writeTrainerState } from './state.ts'
import { ACTIONS, type Action } from './timing.ts'
import type { ExpertUsage } from './usage.ts'

/** What a resumed run takes over so that it stays the same run. */
export interface RunFacts {
  identity: Identity
  /** whose checkpoints these are, whoever went on with them */
  run: string
  /** the how manieth run that began, or went on from behind, in its folder: what did so later is newer, whatever its steps */
  start: number
  maxPassTokens: number
  /** what was still to be done after the step, and what a log of it says */
  due: Action[]
  lastStep: { gradNorm: number; learningRate: number }
  /** since the last log */
  means: Means
  /** what the learning rate's schedule remembers of evaluations */
  schedule: Record<string, number>
  best: Best
  /** was it to end here, before its last step? */
  ended: boolean
  /** how often experts were chosen, in the whole run and since the last log; null: there are none, or nothing was counted */
  experts: Record<'run' | 'log', ExpertUsage | null>
}

const RUN = 'saqr_run.json'
const NAME = /^checkpoint-(\d+)$/

interface SavedStep {
  path: string
  step: number
  start: number
  run: string | null
}

/** folders of an output folder: of the run that began last in the end, and by their steps; damaged ones come first */
export function checkpointsOf(outputDir: string): SavedStep[] {
  if (!existsSync(outputDir)) return []
  return readdirSync(outputDir)
    .flatMap((name) => {
      const step = NAME.exec(name)?.[1]
      const path = join(outputDir, name)
      return step && existsSync(join(path, RUN)) ? [{ path, step: Number(step), ...whoseIs(path) }] : []
    })
    .sort((a, b) => a.start - b.start || a.step - b.step)
}

function whoseIs(path: string): Pick<SavedStep, 'start' | 'run'> {
  try {
    const { start, run } = readJsonObject(join(path, RUN))
    return { start: typeof start === 'number' ? start : 0, run: typeof run === 'string' ? run : null }
  } catch {
    return { start: 0, run: null } // what is wrong with it is told to whoever goes on from there
  }
}

/** @returns the folder */
export async function saveCheckpoint(
  outputDir: string,
  model: LanguageModel,
  optimizer: Optimizer,
  state: TrainerState,
  facts: RunFacts,
): Promise<string> {
  const path = join(outputDir, `checkpoint-${state.globalStep}`)
  await writeFolderAtomic(path, async (folder) => {
    await saveTrained(model, folder)
    const tensors: TensorToWrite[] = optimizer.state().map(({ name, dtype, bytes, chunks }) => ({
      name,
      dtype: dtype.toUpperCase(),
      shape: [bytes / (dtype === 'f32' ? 4 : 1)],
      data: chunks,
    }))
    if (hasMasters(model)) {
      const { trainables } = model
      for (const name of trainables.names) {
        const { rows, cols } = trainables.shape(name)
        tensors.push({ name: MASTER + name, dtype: 'F32', shape: [rows * cols], data: () => trainables.chunks(name) })
      }
    }
    await writeSafetensors(join(folder, 'optimizer.safetensors'), tensors)
    writeTrainerState(folder, state)
    writeFileAtomic(join(folder, RUN), `${stringifyJson(facts, { indent: 2, sortKeys: true })}\n`)
  })
  return path
}

/** Keeps `limit` of the run, the newest and the best among them; those of other runs in the folder stay. */
export function removeOldCheckpoints(outputDir: string, limit: number | null, { run, best }: Pick<RunFacts, 'run' | 'best'>): void {
  if (limit === null) return
  const own = checkpointsOf(outputDir).filter((saved) => saved.run === run)
  const old = own.slice(0, -1).filter(({ step }) => step !== best.saved)
  const kept = own.length - old.length
  for (const { path } of old.slice(0, Math.max(0, old.length - Math.max(0, limit - kept)))) rmSync(path, { recursive: true, force: true })
}

/** All of the run but the best: what stays of a run that keeps one. */
export function removeOthers(outputDir: string, { run, best }: Pick<RunFacts, 'run' | 'best'>): void {
  for (const saved of checkpointsOf(outputDir))
    if (saved.run === run && saved.step !== best.saved) rmSync(saved.path, { recursive: true, force: true })
}

/** The checkpoint of a step of the run; undefined: there is none. */
export function checkpointOf(outputDir: string, run: string, step: number | null): string | undefined {
  return checkpointsOf(outputDir).find((saved) => saved.run === run && saved.step === step)?.path
}

export interface Resumed {
  path: string
  state: ReturnType<typeof readTrainerState>
  facts: RunFacts
}

/**
 * The checkpoint that `resume_from_checkpoint` means: a folder, or with `true` the newest of the output folder (null where there is none:
 * the run begins, so that one command serves a first start and every restart).
 * @throws SaqrError TRAIN_CHECKPOINT for a folder that is none of ours
 */
export function findCheckpoint(outputDir: string, resume: boolean | string | null): Resumed | null {
  if (!resume) return null
  const path = typeof resume === 'string' ? resume : checkpointsOf(outputDir).at(-1)?.path
  if (path === undefined) {
    refuseForeign(outputDir)
    return null
  }
  if (!existsSync(path)) {
    const there = checkpointsOf(outputDir).at(-1)
    throw new SaqrError(
      'TRAIN_CHECKPOINT',
      say`${option('resumeFromCheckpoint')} ${path}: there is no such folder. ${there ? say`The newest of ${outputDir} is ${there.path}; true takes that` : `Name a checkpoint-N folder that saqr saved; in ${outputDir} there is none`}.`,
    )
  }
  for (const name of [RUN, 'trainer_state.json', 'optimizer.safetensors']) {
    if (existsSync(join(path, name))) continue
    throw new SaqrError(
      'TRAIN_CHECKPOINT',
      `${path} has no ${name}: it is no checkpoint that saqr can go on from. Name a checkpoint-N folder that saqr saved.`,
    )
  }
  return { path, state: readTrainerState(path), facts: readFacts(join(path, RUN)) }
}

/** What a run that begins anew is told of one that its folder holds already; null: it holds none. */
export function runIn(outputDir: string): Message | null {
  const names = existsSync(outputDir) ? readdirSync(outputDir) : []
  const ours = checkpointsOf(outputDir).at(-1)
  // a model that somebody else put there is no run's
  const saved = names.find(
    (name) => name === 'adapter_model.safetensors' || (name.startsWith('model.safetensors') && names.includes('saqr.json')),
  )
  const what = ours ? basename(ours.path) : (names.find((name) => NAME.test(name)) ?? saved)
  if (what === undefined) return null
  const goOn = ours ? say` To go on with that one, set ${option('resumeFromCheckpoint')} true;` : ''
  return say`${outputDir} holds ${what} of an earlier run: what this one saves replaces what has the same name.${goOn} To keep all of it, name another ${option('outputDir')}`
}

/** Where a run should go on, a checkpoint that another program saved is not passed over. @throws SaqrError TRAIN_CHECKPOINT */
function refuseForeign(outputDir: string): void {
  const foreign = existsSync(outputDir) ? readdirSync(outputDir).find((name) => NAME.test(name)) : undefined
  if (foreign === undefined) return
  throw new SaqrError(
    'TRAIN_CHECKPOINT',
    say`${join(outputDir, foreign)} has no ${RUN}: saqr saved none of the checkpoints there, and can’t go on from them. Leave ${option('resumeFromCheckpoint')} out to train anew, or open that folder as the model.`,
  )
}

function readFacts(path: string): RunFacts {
  const json = readJsonObject(path)
  const fail = (what: string) => new SaqrError('TRAIN_CHECKPOINT', `${path}: ${what}: take another checkpoint`)
  const number = (value: unknown, key: string): number => {
    if (typeof value !== 'number' || !Number.isFinite(value)) throw fail(`${key} must be a number`)
    return value
  }
  const text = (value: unknown, key: string): string => {
    if (typeof value !== 'string') throw fail(`${key} must be a text`)
    return value
  }
  const object = (value: unknown, key: string): JsonObject => {
    if (!isObject(value)) throw fail(`${key} must be an object`)
    return value
  }
  const numbers = (value: unknown, key: string) =>
    Object.fromEntries(Object.entries(object(value, key)).map(([k, v]) => [k, number(v, `${key}.${k}`)]))
  /** a run from before experts were counted has none */
  const usage = (value: unknown, key: 'run' | 'log'): ExpertUsage | null => {
    const one = isObject(value) ? value[key] : null
    if (!isObject(one)) return null
    const { counts } = one
    if (!Array.isArray(counts)) throw fail(`experts.${key}.counts must be a list`)
    return { layers: number(one.layers, `experts.${key}.layers`), counts: counts.map((n) => number(n, `experts.${key}.counts`)) }
  }
  /** a run from before the best evaluation was kept has none */
  const best = isObject(json.best) ? json.best : {}
  const orNull = (key: keyof Best) => (best[key] == null ? null : number(best[key], `best.${key}`))
  const means = object(json.means, 'means')
  const lastStep = object(json.lastStep, 'lastStep')
  const { due } = json
  if (!Array.isArray(due) || !due.every((action) => ACTIONS.includes(action))) throw fail(`due must be a list of ${ACTIONS.join(', ')}`)
  const identity = object(json.identity, 'identity')
  return {
    identity: { same: object(identity.same, 'identity.same') as Facts, options: object(identity.options, 'identity.options') as Facts },
    run: text(json.run, 'run'),
    start: number(json.start, 'start'),
    maxPassTokens: number(json.maxPassTokens, 'maxPassTokens'),
    due: due as Action[],
    lastStep: {
      gradNorm: number(lastStep.gradNorm, 'lastStep.gradNorm'),
      learningRate: number(lastStep.learningRate, 'lastStep.learningRate'),
    },
    means: { sums: numbers(means.sums, 'means.sums'), weights: numbers(means.weights, 'means.weights') },
    schedule: numbers(json.schedule, 'schedule'),
    best: { value: orNull('value'), step: orNull('step'), saved: orNull('saved'), worse: orNull('worse') ?? NO_BEST.worse },
    ended: json.ended === true,
    experts: { run: usage(json.experts, 'run'), log: usage(json.experts, 'log') },
  }
}

/**
 * What the run goes on with other than before, and what it doesn't: a line each. @param base path of the model's
 * @throws SaqrError TRAIN_CHECKPOINT naming what makes it another run
 */
export function checkSame({ path, facts }: Resumed, now: Identity, base: string, maxPassTokens: number | null): Message[] {
  const there = facts.identity.same
  const unknown = LATER.filter((key) => there[key] === undefined)
  const {
    [WEIGHTS]: weights,
    firstValues,
    ...same
  } = Object.fromEntries(Object.entries(now.same).filter(([key]) => !unknown.some((one) => one === key)))
  const other = differences(there, same)
  if (other.length > 0) {
    throw new SaqrError(
      'TRAIN_CHECKPOINT',
      say`${path} is of another run: ${Message.join(other, '; ')}. Resume with the model, options and rows it was made with, or train anew.`,
    )
  }
  const another = (what: string) => new SaqrError('TRAIN_CHECKPOINT', `${path} is of another run: ${what}, or train anew.`)
  if (weights !== undefined && weights !== there[WEIGHTS])
    throw another(
      `the weights of ${base} are not those it was trained over, though its configuration and shapes are. Open the base as it was (the same file, in the same form)`,
    )
  if (firstValues !== undefined && firstValues !== there.firstValues)
    throw another('what it trains began with other values than here. Begin with the same adapter and seed')
  const changed = differences(facts.identity.options, now.options)
  return [
    ...(unknown.length > 0
      ? [
          say`${path} doesn’t say what its ${Message.join(
            unknown.map((key) => say`${WHAT[key]}`),
            ' and ',
          )} were: that those of ${base} are as they were isn’t known`,
        ]
      : []),
    ...(changed.length > 0
      ? [say`${path} was saved with other options, and the run goes on with these: ${Message.join(changed, '; ')}`]
      : []),
    ...(maxPassTokens !== null && maxPassTokens !== facts.maxPassTokens
      ? [
          say`${path} was made with passes of ${facts.maxPassTokens} tokens (${option('maxPassTokens')}), and the run goes on with those, not ${maxPassTokens}: its bits depend on them`,
        ]
      : []),
  ]
}

const WHAT: Readonly<Record<(typeof LATER)[number], string>> = {
  config: 'configuration',
  firstValues: 'first values',
  [WEIGHTS]: 'base’s weights',
}

/** Trained tensors and optimiser state as they were. */
export function restore(path: string, model: LanguageModel, optimizer: Optimizer): void {
  optimizer.restore(savedIn(join(path, 'optimizer.safetensors')))
  restoreTrained(path, model)
}

/** Trained tensors alone. */
export function restoreTrained(path: string, model: LanguageModel): void {
  const { trainables } = model
  const masters = hasMasters(model)
  // its file has its experts in another form
  if (model.adapter.config?.single) {
    takeValues(model, readAdapterOver(path, model.opened.model), path)
    return
  }
  const state = masters ? savedIn(join(path, 'optimizer.safetensors')) : new Map()
  const values = masters ? state : savedIn(join(path, 'adapter_model.safetensors'))
  for (const name of trainables.names) {
    const saved = values.get((masters ? MASTER : PEFT_PREFIX) + name)
    if (!saved)
      throw new SaqrError('TRAIN_CHECKPOINT', `${path} lacks ${name}: it is of another adapter. Resume with the options it was made with.`)
    if (masters) trainables.restore(name, saved)
    else trainables.restoreFromFile(name, saved)
  }
}

const MASTER = 'master.'

/** an adapter's own file holds its f32 values; a whole model's is rounded */
function hasMasters(model: LanguageModel): boolean {
  return model.adapter.config === null
}

/** tensors of a file, read a part at a time */
function savedIn(path: string): Map<string, SavedBytes> {
  const { tensors } = readSafetensors(path)
  return new Map(
    [...tensors].map(([name, { offset, bytes }]) => [
      name,
      { byteLength: bytes, subarray: (from, to) => readRange(path, offset + from, to - from) },
    ]),
  )
}
