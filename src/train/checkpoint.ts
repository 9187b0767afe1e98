/**
 * checkpoint-N/: the model's trained part, trainer_state.json and the tokenizer as transformers lays them out; and what makes a resumed run
 * the same run to the bit: the optimiser's state (and f32 master weights where the model file is rounded) in optimizer.safetensors, the
 * run's own facts in saqr_run.json. A checkpoint appears whole or not at all.
 */
import { existsSync, readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import type { LanguageModel } from '../engine/language-model.ts'
import { writeTokenizer } from '../engine/model-folder.ts'
import type { Optimizer } from '../engine/optimizer.ts'
import { saveTrained } from '../engine/save.ts'
import { SaqrError } from '../error.ts'
import { readJsonObject, stringifyJson } from '../formats/json.ts'
import { asF32, bytesOf } from '../formats/numbers.ts'
import { PEFT_PREFIX } from '../formats/peft/read.ts'
import { readSafetensors } from '../formats/safetensors/read.ts'
import { type TensorToWrite, writeSafetensors } from '../formats/safetensors/write.ts'
import { readRange, writeFileAtomic, writeFolderAtomic } from '../hub/files.ts'
import { readTrainerState, type TrainerState, writeTrainerState } from './state.ts'

/** What a resumed run takes over so that it stays the same run. */
export interface RunFacts {
  maxPassTokens: number
  /** what makes the same rows come in the same steps, and the same dropout */
  seed: number
  dataSeed: number
  batchSize: number
  accumulationSteps: number
  examples: number
  /** sums over the steps since the last log */
  lossSum: number
  lossSteps: number
  entropySum: number
  accuracySum: number
  /** sum of the losses of all steps */
  totalLoss: number
}

/** facts that a resumed run must share */
const SAME = ['seed', 'dataSeed', 'batchSize', 'accumulationSteps', 'examples'] as const

const NAME = /^checkpoint-(\d+)$/

/** folders of an output folder, by their step */
export function checkpointsOf(outputDir: string): { path: string; step: number }[] {
  if (!existsSync(outputDir)) return []
  return readdirSync(outputDir)
    .flatMap((name) => {
      const step = NAME.exec(name)?.[1]
      return step && existsSync(join(outputDir, name, 'saqr_run.json')) ? [{ path: join(outputDir, name), step: Number(step) }] : []
    })
    .sort((a, b) => a.step - b.step)
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
    const tensors: TensorToWrite[] = optimizer.state().map(({ name, dtype, bytes }) => ({
      name,
      dtype: dtype.toUpperCase(),
      shape: [bytes.byteLength / (dtype === 'f32' ? 4 : 1)],
      data: bytes,
    }))
    if (hasMasters(model)) {
      const { trainables } = model
      for (const name of trainables.names) {
        tensors.push({ name: MASTER + name, dtype: 'F32', shape: [trainables.get(name).length], data: () => bytesOf(trainables.get(name)) })
      }
    }
    await writeSafetensors(join(folder, 'optimizer.safetensors'), tensors)
    const { tokenizer } = model.open.checkpoint
    if (tokenizer) writeTokenizer(folder, tokenizer)
    writeTrainerState(folder, state)
    writeFileAtomic(join(folder, 'saqr_run.json'), `${stringifyJson(facts, { indent: 2, sortKeys: true })}\n`)
  })
  return path
}

/** keeps the newest `limit` */
export function removeOldCheckpoints(outputDir: string, limit: number | null): void {
  if (limit === null) return
  for (const { path } of checkpointsOf(outputDir).slice(0, -limit)) rmSync(path, { recursive: true, force: true })
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
  if (path === undefined) return null
  for (const name of ['saqr_run.json', 'trainer_state.json', 'optimizer.safetensors']) {
    if (existsSync(join(path, name))) continue
    throw new SaqrError(
      'TRAIN_CHECKPOINT',
      `${path} has no ${name}: it is no checkpoint that saqr can go on from. Name a checkpoint-N folder that saqr saved.`,
    )
  }
  return { path, state: readTrainerState(path), facts: readFacts(join(path, 'saqr_run.json')) }
}

function readFacts(path: string): RunFacts {
  const json = readJsonObject(path)
  const number = (key: keyof RunFacts): number => {
    const value = json[key]
    if (typeof value !== 'number' || !Number.isFinite(value)) throw new SaqrError('TRAIN_CHECKPOINT', `${path}: ${key} must be a number`)
    return value
  }
  const keys = [...SAME, 'maxPassTokens', 'lossSum', 'lossSteps', 'entropySum', 'accuracySum', 'totalLoss'] as const
  return Object.fromEntries(keys.map((key) => [key, number(key)])) as unknown as RunFacts
}

/** @throws SaqrError TRAIN_CHECKPOINT naming what differs: rows would come in other steps, and the run would be another one */
export function checkSame({ path, facts }: Resumed, now: Pick<RunFacts, (typeof SAME)[number]>): void {
  const different = SAME.filter((key) => facts[key] !== now[key]).map((key) => `${key} ${facts[key]} there, ${now[key]} now`)
  if (different.length === 0) return
  throw new SaqrError(
    'TRAIN_CHECKPOINT',
    `${path} is of another run: ${different.join('; ')}. Resume with the options and rows it was made with, or train anew.`,
  )
}

/** Trained tensors and optimiser state as they were. */
export function restore(path: string, model: LanguageModel, optimizer: Optimizer): void {
  const state = readAll(join(path, 'optimizer.safetensors'))
  optimizer.restore(state)
  const { trainables } = model
  const masters = hasMasters(model)
  const values = masters ? state : readAll(join(path, 'adapter_model.safetensors'))
  for (const name of trainables.names) {
    const bytes = values.get((masters ? MASTER : PEFT_PREFIX) + name)
    if (!bytes)
      throw new SaqrError('TRAIN_CHECKPOINT', `${path} lacks ${name}: it is of another adapter. Resume with the options it was made with.`)
    trainables.set(name, asF32(bytes))
  }
}

const MASTER = 'master.'

/** an adapter's own file holds its f32 values; a whole model's is rounded */
function hasMasters(model: LanguageModel): boolean {
  return model.adapter.config === null
}

function readAll(path: string): Map<string, Uint8Array> {
  const { tensors } = readSafetensors(path)
  return new Map([...tensors].map(([name, { offset, bytes }]) => [name, readRange(path, offset, bytes)]))
}
