/** TRL's side of a proof: its own command line in the user's Python, and what the script there wrote down. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { chosenCard, visibleCards } from '../../devices/cuda/cards.ts'
import { Driver } from '../../devices/cuda/driver.ts'
import { SaqrError } from '../../error.ts'
import { exists } from '../../hub/files.ts'
import { readText } from '../../hub/json.ts'
import type { Io } from '../verb.ts'
import { watchCards } from './memory.ts'
import { runPython, SCRIPT, tail, type Versions } from './python.ts'
import type { Recipe } from './recipe.ts'
import { type Place, readIndex, readValues, type Side, seenRow, valuesFile } from './recorded.ts'

export interface TrlSide extends Side {
  versions: Versions
  device: string
  threads: number
  /** does it compute in half precision anywhere? */
  half: boolean
  /** had torch's log-softmax on the CPU a part in its losses? */
  logSoftmax: boolean
  trained: [string, readonly number[]][]
  /** type of each of them, as torch has it */
  dtypes: ReadonlyMap<string, string>
  /** types of all its parameters, by their names in the base */
  held: ReadonlyMap<string, string>
  /** the command that was run */
  command: string[]
}

/** what a weight of 4 bits is called, whatever numbers its codes are packed into: neither single nor half precision */
export const CODES = '4 bits'

interface Wrote {
  /** null: no number, or infinite */
  losses: (number | null)[]
  rates: number[]
  ends: number[]
  trained: [string, number[], string][]
  steps: number
  dtypes: string[]
  bf16: boolean
  log_softmax: boolean
  device: string
  card: string | null
  threads: number
  peak_bytes: number | null
  versions: Versions
}

export interface TrlRequest {
  recipe: Recipe
  python: string
  steps: number
  /** a folder of its own */
  work: string
  /** all that Python says is kept here */
  log: string
  /** where saqr computes: TRL does so too */
  cpu: boolean
  threads: number | null
  /** a run's folder: the same is run in f32, from the values that one began with */
  f32From?: string
  /** torch's log-softmax on the CPU adds in f64 (assets/prove/softmax.py) */
  exactSoftmax?: boolean
  io: Io
  onStep(step: number, loss: number): void
}

/** @throws SaqrError TRAIN_TRL with the end of what Python said */
export async function runTrl({
  recipe,
  python,
  steps,
  work,
  log,
  cpu,
  threads,
  f32From,
  exactSoftmax,
  io,
  onStep,
}: TrlRequest): Promise<TrlSide> {
  const args = [
    'run',
    recipe.kind,
    recipe.path,
    work,
    String(steps),
    ...(cpu ? ['--cpu'] : []),
    ...(threads ? ['--threads', String(threads)] : []),
    ...(f32From === undefined ? [] : ['--f32-from', f32From]),
    ...(exactSoftmax && cpu ? ['--exact-softmax'] : []),
  ]
  const cards = watchCards()
  const misread: string[][] = []
  let card: ReturnType<typeof cards.end> = null
  const ended = await runPython(python, args, {
    signal: io.signal,
    env: { ...recipe.env, ...(cpu ? {} : { CUDA_VISIBLE_DEVICES: visibleCard(recipe) }) },
    onStart: cards.of,
    onLine(line) {
      const step = /^@step (\d+) (\S+)$/.exec(line)
      if (step) onStep(Number(step[1]), Number(step[2]))
      const wrong = /^@misread (\S+) (\S+) (\d+)$/.exec(line)
      if (wrong) misread.push(wrong.slice(1))
    },
  }).finally(() => (card = cards.end()))
  writeFileSync(log, `${ended.out}\n${ended.err}`)
  if (misread[0]) throw new SaqrError('TRAIN_TRL', misreadBase(misread[0]))
  if (ended.code !== 0 || !exists(join(work, 'trl.json')))
    throw new SaqrError(
      'TRAIN_TRL',
      `TRL ended with ${ended.code ?? 'a signal'} before its ${steps} steps were done; all it said is in ${log}, the end of it:\n${tail(ended.err || ended.out)}`,
    )
  const wrote = JSON.parse(readText(join(work, 'trl.json'))) as Wrote
  return {
    losses: wrote.losses.map((loss) => loss ?? Number.NaN),
    rates: wrote.rates,
    ends: wrote.ends,
    rows: readRows(join(work, 'rows.jsonl')).slice(0, wrote.losses.length),
    gradients: readIndex(work, 'gradients'),
    gradientFile: valuesFile(work, 'gradients'),
    end: readValues(work, 'end'),
    totalSteps: wrote.steps,
    memory: { host: wrote.peak_bytes, card: wrote.device === 'cuda' ? card : null },
    versions: wrote.versions,
    device: wrote.card ?? `${wrote.device}, ${wrote.threads} threads`,
    threads: wrote.threads,
    half: wrote.bf16 || wrote.dtypes.some((dtype) => dtype !== 'torch.float32' && dtype !== CODES),
    logSoftmax: wrote.log_softmax,
    trained: wrote.trained.map(([name, shape]) => [name, shape]),
    held: readHeld(join(work, 'held.json')),
    dtypes: new Map(wrote.trained.map(([name, , dtype]) => [name, dtype])),
    command: [python, SCRIPT, ...args],
  }
}

function misreadBase([name, off, width]: string[]): string {
  const odd =
    Number(width) % 64 === 0
      ? ''
      : ` (64 doesn’t divide its width, ${width}: on processors with AVX-512 bitsandbytes 0.50 goes by the wrong scales then)`
  return `there is no TRL to compare with: bitsandbytes misreads the 4-bit base here. It takes ${name} for something ${Math.round(100 * Number(off))} % of its norm away from what the weight’s own codes and scales say${odd}. Prove this run on a card, or without the 4-bit base`
}

/** the one card that saqr computes on: of several, TRL would take all */
function visibleCard({ options }: Recipe): string {
  const [, number] = options.device.split(':')
  const index = number === undefined ? chosenCard(visibleCards(new Driver())).ordinal : Number(number)
  return process.env.CUDA_VISIBLE_DEVICES?.split(',')[index] ?? String(index)
}

function readHeld(path: string): Map<string, string> {
  const held = JSON.parse(readText(path)) as Record<string, string>
  return new Map(
    Object.entries(held).map(([name, type]) => [name.replace(/^base_model\.model\./, '').replaceAll(/\.base_layer(?=\.)/g, ''), type]),
  )
}

function readRows(path: string): Side['rows'] {
  const lines = readText(path)
    .split('\n')
    .filter((line) => line !== '')
  return lines.map((line) =>
    (JSON.parse(line) as ({ ids: number[]; targets: number[] } & Place)[][]).map((batch) =>
      batch.map(({ ids, targets, part, wanted }) => seenRow(ids, targets, { part, wanted })),
    ),
  )
}
