/** saqr's side of a proof: the configuration's run, begun with TRL's first values and ended after some steps. */
import type { Dataset } from '../../data/dataset.ts'
import { openDevice } from '../../devices/open.ts'
import type { GradientsMade, LanguageModel } from '../../engine/language-model.ts'
import type { Trainables } from '../../engine/trainables.ts'
import { exists } from '../../hub/files.ts'
import { openForTraining } from '../load-for-training.ts'
import type { Io } from '../verb.ts'
import { watchCards } from './memory.ts'
import type { Recipe } from './recipe.ts'
import {
  GRADIENT_STEPS,
  readIndex,
  type SeenStep,
  type Side,
  seenRow,
  TensorWriter,
  tensorValues,
  type Values,
  valuesFile,
} from './recorded.ts'
import { DIRECTIONS } from './tolerances.ts'

export interface SaqrSide extends Side {
  device: string
  arithmetic: 'f32' | 'bf16'
  /** names of weights that are held in 4 bits */
  inCodes: string[]
  /** what is trained: name and shape */
  trained: [string, readonly number[]][]
  /** what of it was before the first step */
  start: Values
  layers: number
  /** numbers that the head scores */
  vocab: number
  /** terms of the longest sum of a product: channels of the widest layer, or tokens of a step */
  longestSum: number
  /** what errors of a step's gradient are spread over */
  directions: number
  /** how the base's tensors are stored, by name */
  stored: ReadonlyMap<string, Stored>
}

export interface Stored {
  /** `BF16`, `nf4` */
  storage: string
  vector: boolean
}

export interface SaqrRequest {
  recipe: Recipe
  rows: Dataset
  steps: number
  /** a folder of its own */
  work: string
  /** TRL's folder: an adapter's values as its run began */
  trl: string
  /** names of what TRL trains */
  theirs: ReadonlySet<string>
  io: Io
  onStep(step: number, loss: number): void
}

/** @throws SaqrError those of a run */
export async function runSaqr({ recipe, rows, steps, work, trl, theirs, io, onStep }: SaqrRequest): Promise<SaqrSide> {
  const { options } = recipe
  const device = await openDevice(options.useCpu ? 'cpu' : options.device, { threads: options.threads })
  const cards = watchCards()
  cards.of(process.pid)
  const gradients = new TensorWriter(work, 'gradients')
  try {
    const { language, tokenizer } = await openForTraining(options, device, io)
    // where TRL trains other tensors that is what the proof says, whatever they begin with
    const { trainables } = language
    if (trainables.names.every((name) => theirs.has(name))) beginAs(trl, trainables)
    const start = valuesNow(trainables, work, 'start', 0)
    const seen: SeenStep[] = []
    language.onGradients = (made) => {
      seen.push(rowsOf(made))
      if (made.step <= GRADIENT_STEPS) keepGradients(language, gradients, made.step)
    }
    const { losses, rates, ends, totalSteps } = await trained(recipe, language, { tokenizer, rows, steps, io, onStep })
    const { model, choice } = language.opened
    return {
      losses,
      rates,
      ends,
      totalSteps,
      rows: seen,
      gradients: gradients.kept,
      gradientFile: gradients.path,
      start,
      end: valuesNow(trainables, work, 'end', losses.length),
      memory: { host: process.resourceUsage().maxRSS * 1024, card: device.describe().memory !== undefined ? cards.end() : null },
      device: device.describe().label,
      arithmetic: choice.dtype,
      stored: new Map(
        [...language.opened.checkpoint.tensors].map(([name, { storage, shape }]) => [name, { storage, vector: shape.length < 2 }]),
      ),
      inCodes: [...language.recorder.weights.values()].flatMap(({ name, dtype }) => (dtype === 'nf4' ? [name] : [])),
      trained: trainables.names.map((name) => [name, trainables.fileShape(name)]),
      layers: model.layers,
      vocab: model.vocab,
      // where weights follow from scores, an error of one lies along its sequence's own gradient
      directions: recipe.objective.score.later ? Math.min(DIRECTIONS, seen[0]?.flat().length ?? DIRECTIONS) : DIRECTIONS,
      longestSum: Math.max(...[...language.recorder.weights.values()].map(({ cols }) => cols), mostTokens(seen)),
    }
  } finally {
    cards.end()
    gradients.close()
    device.dispose()
  }
}

/** Of an adapter: weights that are trained begin as their file has them on both sides. */
function beginAs(folder: string, trainables: Trainables): void {
  if (!exists(valuesFile(folder, 'start'))) return
  const start = readIndex(folder, 'start')
  for (const name of trainables.names) trainables.setFromFile(name, tensorValues(valuesFile(folder, 'start'), start.get(name)!))
}

function valuesNow(trainables: Trainables, work: string, name: string, step: number): Values {
  const writer = new TensorWriter(work, name)
  try {
    for (const each of trainables.names) writer.add(each, step, trainables.fileShape(each), trainables.inFile(each))
  } finally {
    writer.close()
  }
  return { tensors: writer.kept, file: writer.path }
}

async function trained(
  recipe: Recipe,
  language: LanguageModel,
  { tokenizer, rows, steps, io, onStep }: Pick<SaqrRequest, 'rows' | 'steps' | 'io' | 'onStep'> & Pick<Awaited<ReturnType<typeof openForTraining>>, 'tokenizer'>, // biome-ignore format: short
): Promise<Pick<Side, 'losses' | 'rates' | 'ends' | 'totalSteps'>> {
  const { options } = recipe
  const trainer = recipe.trainer(
    {
      model: { language },
      processingClass: tokenizer,
      trainDataset: rows,
      memory: options.memory,
    },
    options,
  )
  const losses: number[] = []
  const rates: number[] = []
  const ends: number[] = []
  let totalSteps = 0
  for await (const event of trainer.firstSteps(steps, { signal: io.signal })) {
    if (event.type === 'start') totalSteps = event.steps
    else if (event.type === 'warning') io.err.write(`saqr: ${event.message}\n`)
    else if (event.type === 'step') {
      losses.push(event.loss)
      ends.push(event.elapsed)
      onStep(event.step, event.loss)
    } else if (event.type === 'log') rates.push(event.learningRate)
    else if (event.type === 'end' && !event.finished) io.signal.throwIfAborted()
  }
  return { losses, rates, ends, totalSteps }
}

/** Sequences of packs, pairs and rated rows count one by one, as TRL's batches have them. */
function rowsOf({ examples, batchOf }: GradientsMade): SeenStep {
  const step: SeenStep = []
  examples.forEach(({ ids, targets, starts = Int32Array.of(0), prompts, wanted }, i) => {
    const batch = (step[batchOf[i]!] ??= [])
    starts.forEach((start, s) => {
      const end = starts[s + 1] ?? ids.length
      // sequences of a pack are rows of their own
      batch.push(seenRow(ids.subarray(start, end), targets.subarray(start, end), { part: prompts ? s : 0, wanted }))
    })
  })
  return step
}

function keepGradients({ trainables }: LanguageModel, gradients: TensorWriter, step: number): void {
  for (const name of trainables.names) {
    if (gradients.kept.has(name)) continue
    const values = trainables.inFile(name, 'gradients')
    if (values.some((x) => x !== 0)) gradients.add(name, step, trainables.fileShape(name), values)
  }
}

const tokensOf = (step: SeenStep) => step.flat().reduce((n, { tokens }) => n + tokens, 0)
const mostTokens = (seen: readonly SeenStep[]) => Math.max(0, ...seen.map(tokensOf))
