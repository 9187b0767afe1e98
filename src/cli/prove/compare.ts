/** Both sides of a proof, compared: what JSON and page say, and whether parity holds. */
import { type Check, type Found, type Measures, measure } from './measure.ts'
import { ROUNDED } from './moves.ts'
import type { Changed } from './recipe.ts'
import { GRADIENT_STEPS, type Memory, matrix, type SeenStep, type Side } from './recorded.ts'
import type { SaqrSide } from './saqr-side.ts'
import type { TrlSide } from './trl-side.ts'
import { yardstickOf } from './yardstick.ts'

export interface SideFigures {
  /** rows' tokens a second, padding not counted, in the steps after the first few */
  tokensPerSecond: number
  secondsPerStep: number
  /** the whole run at this speed: steps alone, without loading, evaluations and checkpoints */
  fullRunSeconds: number
  memory: Memory
  device: string
  command: string[]
}

/** of what the configuration says, and of both once more in f32 where that is half precision; `checks` of both */
export interface Proof extends Measures {
  format: 'saqr proof 2'
  passed: boolean
  made: string
  config: { path: string; kind: string; text: string }
  /** what ran on TRL's side: its command, or its trainer where it has none */
  theirs: string
  steps: number
  totalSteps: { trl: number; saqr: number }
  /** steps that speed is measured over */
  timed: { from: number; to: number }
  /** how the measure of half precision was taken, and what was compared in f32 or why it wasn't; where the run is in f32, what of TRL's was added in f64 for it, else [] */
  inF32: string[]
  changed: Changed[]
  tokens: number
  /** of half precision: both sides once more in f32, where mistakes are not below what it rounds; null: they weren't, or the run itself is in f32 */
  f32: Measures | null
  /** a type of few bits that TRL keeps trained weights in; null: none */
  rounded: string | null
  trl: SideFigures
  saqr: SideFigures
  versions: Record<string, string | null>
}

export type Facts = Pick<Proof, 'config' | 'theirs' | 'changed' | 'versions' | 'made' | 'inF32'> & { saqrCommand: string[] }

/** Both sides once more in f32, from the same values; saqr's null: what it would compute with isn't what TRL did. */
export interface F32Sides {
  trl: TrlSide
  saqr: SaqrSide | null
}

/** @param f32 where TRL is in half precision: how far it is from that is how far saqr may be from it; null: the arithmetic says it */
export function compare(trl: TrlSide, saqr: SaqrSide, facts: Facts, f32: F32Sides | null = null): Proof {
  // the coarser arithmetic of both
  const arithmetic = trl.half ? 'bf16' : saqr.arithmetic
  const exact = f32?.saqr ? measure({ trl: f32.trl, saqr: f32.saqr }, 'f32', null, false) : null
  const measures = measure({ trl, saqr }, arithmetic, f32 === null ? null : yardstickOf(trl, f32.trl), exact !== null)
  const same = [rowsCheck(trl, saqr), tensorsCheck(trl, saqr), ratesCheck(trl, saqr)].map((check) => ({ ...check, arithmetic: null }))
  const checks: Check[] = [...same, ...(exact?.checks ?? []), ...measures.checks]
  const steps = measures.losses.length
  const from = Math.min(GRADIENT_STEPS, steps - 1)
  const { saqrCommand, ...rest } = facts
  return {
    format: 'saqr proof 2',
    passed: checks.every(({ passed }) => passed),
    ...{ ...rest, ...measures, checks, f32: exact, steps },
    totalSteps: { trl: trl.totalSteps, saqr: saqr.totalSteps },
    timed: { from: from + 1, to: steps },
    tokens: trl.rows.reduce((n, step) => n + tokensOf(step), 0),
    rounded: [...trl.dtypes.values()].find((dtype) => dtype in ROUNDED) ?? null,
    trl: figures(trl, from, trl.command),
    saqr: figures(saqr, from, saqrCommand),
  }
}

const tokensOf = (step: SeenStep) => step.flat().reduce((n, { tokens }) => n + tokens, 0)
const targetsOf = (step: SeenStep) => step.flat().reduce((n, { targets }) => n + targets, 0)

/** Rows of a step that one side has and the other hasn't, micro-batch by micro-batch; their order within one means nothing. */
function rowsCheck(trl: Side, saqr: Side): Found {
  const keys = (step: SeenStep) => step.map((batch) => batch.map(({ key }) => key).sort().join()).join(';') // biome-ignore format: short
  const steps = Math.max(trl.rows.length, saqr.rows.length)
  for (let i = 0; i < steps; i++) {
    const [a, b] = [trl.rows[i] ?? [], saqr.rows[i] ?? []]
    if (keys(a) === keys(b)) continue
    const count = (step: SeenStep) => `${step.flat().length} rows, ${tokensOf(step)} tokens, ${targetsOf(step)} learned`
    return { name: 'rows', passed: false, said: `step ${i + 1} has other rows: TRL’s ${count(a)}; saqr’s ${count(b)}` }
  }
  const all = trl.rows.flat()
  const said = `the same ${all.flat().length} rows in the same order: ${tokensOf(all)} tokens, ${targetsOf(all)} learned, each id alike`
  return { name: 'rows', passed: true, said }
}

function tensorsCheck(trl: TrlSide, saqr: SaqrSide): Found {
  const named = (list: TrlSide['trained']) => new Map(list.map(([name, shape]) => [name, matrix(shape)]))
  const [theirs, ours] = [named(trl.trained), named(saqr.trained)]
  const wrong = [...theirs].find(([name, shape]) => ours.get(name) !== shape) ?? [...ours].find(([name]) => !theirs.has(name))
  if (!wrong) return { name: 'tensors', passed: true, said: `both train the same ${theirs.size} tensors, from the same first values` }
  const [name] = wrong
  const of = (side: Map<string, string>) => side.get(name) ?? 'none'
  return { name: 'tensors', passed: false, said: `${name}: TRL trains ${of(theirs)}, saqr ${of(ours)}` }
}

/** of a learning rate: both compute it in f64, in some ten operations */
const SAME_RATE = 1e-12

function ratesCheck(trl: Side, saqr: Side): Found {
  const wrong = trl.rates.findIndex((rate, i) => !(Math.abs(saqr.rates[i]! - rate) <= SAME_RATE * Math.abs(rate)))
  const [theirs, ours] = [trl.rates[wrong], saqr.rates[wrong]]
  if (trl.rates.length !== saqr.rates.length || trl.rates.length === 0)
    return { name: 'rates', passed: false, said: `learning rates of ${trl.rates.length} steps in TRL, of ${saqr.rates.length} in saqr` }
  if (wrong >= 0)
    return { name: 'rates', passed: false, said: `the learning rate of step ${wrong + 1} is ${theirs} in TRL, ${ours} in saqr` }
  return { name: 'rates', passed: true, said: `the same learning rate in each of ${trl.rates.length} steps` }
}

/** @param from the first step whose time counts, less 1: before it gradients are written down and plans made */
function figures(side: Side & { device: string }, from: number, command: string[]): SideFigures {
  const seconds = side.ends.at(-1)! - (from > 0 ? side.ends[from - 1]! : 0)
  const tokens = side.rows.slice(from).reduce((n, step) => n + tokensOf(step), 0)
  const secondsPerStep = seconds / (side.ends.length - from)
  return {
    tokensPerSecond: tokens / seconds,
    secondsPerStep,
    fullRunSeconds: secondsPerStep * side.totalSteps,
    memory: side.memory,
    device: side.device,
    command,
  }
}
