/** Both sides of a proof, compared: what JSON and page say, and whether parity holds. */
import { type MovePair, type Moves, movesOf, ROUNDED } from './moves.ts'
import type { Changed } from './recipe.ts'
import { GRADIENT_STEPS, type Memory, type SeenStep, type Side, tensorValues } from './recorded.ts'
import type { SaqrSide } from './saqr-side.ts'
import { type Tolerances, tolerancesOf } from './tolerances.ts'
import type { TrlSide } from './trl-side.ts'
import { allowedOf, distance, type F32Run, lengthRatio, measured, type Yardstick, yardstickOf } from './yardstick.ts'

export interface Check {
  name: 'rows' | 'tensors' | 'rates' | 'loss' | 'gradients' | 'length' | 'weights'
  passed: boolean
  /** what was found, in a line */
  said: string
}

export interface LossPair {
  step: number
  trl: number
  saqr: number
  difference: number
  allowed: number
}

export interface GradientPair {
  name: string
  /** in which it was first not all 0 */
  step: number
  /** ‖·‖₂ of TRL's */
  norm: number
  /** ‖saqr − TRL‖₂ / ‖TRL‖₂; null: one side has none, or in another step */
  difference: number | null
  allowed: number
}

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

export interface Proof {
  format: 'saqr proof 1'
  passed: boolean
  made: string
  config: { path: string; kind: string; text: string }
  /** what ran on TRL's side: its command, or its trainer where it has none */
  theirs: string
  steps: number
  totalSteps: { trl: number; saqr: number }
  /** steps that speed is measured over */
  timed: { from: number; to: number }
  arithmetic: 'f32' | 'bf16'
  /** how what half precision costs TRL itself was measured, or why it wasn't; null: both compute in f32 */
  yardstick: string | null
  changed: Changed[]
  tolerances: Tolerances
  checks: Check[]
  tokens: number
  losses: LossPair[]
  /** ‖saqr − TRL‖ / ‖TRL‖ of all gradients of the first step as one vector */
  wholeGradient: number
  /** ‖saqr‖ / ‖TRL‖ of the same */
  lengthRatio: number
  /** the nearest to their limits first */
  gradients: GradientPair[]
  /** ‖saqr − TRL‖ / ‖TRL‖ of how far all weights have gone from the first step to the last, as one vector */
  wholeMove: number
  /** ‖saqr‖ / ‖TRL‖ of the same */
  moveRatio: number
  /** of each tensor, the nearest to their limits first */
  moves: MovePair[]
  wholeMoveAllowed: number
  moveRatioAllowed: number
  /** a type of few bits that TRL keeps trained weights in; null: none */
  rounded: string | null
  trl: SideFigures
  saqr: SideFigures
  versions: Record<string, string | null>
}

export type Facts = Pick<Proof, 'config' | 'theirs' | 'changed' | 'versions' | 'made' | 'yardstick'> & { saqrCommand: string[] }

/** @param f32 TRL's run in f32, where its own is in half precision: how far it is from that is how far saqr may be from TRL; null: the arithmetic says it */
export function compare(trl: TrlSide, saqr: SaqrSide, facts: Facts, f32: F32Run | null = null): Proof {
  // the coarser arithmetic of both
  const arithmetic = trl.half ? 'bf16' : saqr.arithmetic
  const yardstick = f32 === null ? null : yardstickOf(trl, f32)
  const sizes = { ...saqr, leastMoved: leastMoved(trl) }
  const computed = tolerancesOf(arithmetic, sizes)
  const tolerances = yardstick === null ? computed : measured(computed, yardstick, sizes)
  const steps = Math.min(trl.losses.length, saqr.losses.length)
  const losses = lossPairs(trl, saqr, tolerances)
  const gradients = gradientPairs(trl, saqr, tolerances, yardstick)
  const wholeGradient = wholeOf(gradients)
  const ratio = lengthRatio(saqr, trl)
  const apart = new Map(gradients.flatMap(({ name, difference }) => (Number.isFinite(difference) ? [[name, difference!]] : [])))
  const moves = movesOf(trl, saqr, { dtypes: trl.dtypes, gradients: apart, tolerances })
  const checks: Check[] = [
    rowsCheck(trl, saqr),
    tensorsCheck(trl, saqr),
    ratesCheck(trl, saqr),
    lossCheck(trl, saqr, losses),
    gradientsCheck(gradients, { whole: wholeGradient, allowed: tolerances.whole.value, trained: saqr.trained.length }),
    ...(tolerances.length === null ? [] : [lengthCheck(ratio, tolerances.length.value)]),
    weightsCheck(moves, steps),
  ]
  const from = Math.min(GRADIENT_STEPS, steps - 1)
  const { saqrCommand, ...rest } = facts
  return {
    format: 'saqr proof 1',
    passed: checks.every(({ passed }) => passed),
    ...rest,
    steps,
    totalSteps: { trl: trl.totalSteps, saqr: saqr.totalSteps },
    timed: { from: from + 1, to: steps },
    arithmetic,
    tolerances,
    checks,
    tokens: trl.rows.reduce((n, step) => n + tokensOf(step), 0),
    losses,
    wholeGradient,
    lengthRatio: ratio,
    gradients,
    wholeMove: moves.whole,
    moveRatio: moves.length,
    moves: moves.tensors,
    wholeMoveAllowed: moves.wholeAllowed,
    moveRatioAllowed: moves.lengthAllowed,
    rounded: [...trl.dtypes.values()].find((dtype) => dtype in ROUNDED) ?? null,
    trl: figures(trl, from, trl.command),
    saqr: figures(saqr, from, saqrCommand),
  }
}

/** numbers of the smallest tensor that has a gradient in the first step */
const leastMoved = ({ gradients }: Pick<Side, 'gradients'>): number =>
  [...gradients.values()].reduce(
    (least, { step, shape }) =>
      step === 1
        ? Math.min(
            least,
            shape.reduce((n, size) => n * size, 1),
          )
        : least,
    Number.POSITIVE_INFINITY,
  )

const tokensOf = (step: SeenStep) => step.flat().reduce((n, { tokens }) => n + tokens, 0)
const targetsOf = (step: SeenStep) => step.flat().reduce((n, { targets }) => n + targets, 0)

/** Rows of a step that one side has and the other hasn't, micro-batch by micro-batch; their order within one means nothing. */
function rowsCheck(trl: Side, saqr: Side): Check {
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

function tensorsCheck(trl: TrlSide, saqr: SaqrSide): Check {
  const named = (list: TrlSide['trained']) => new Map(list.map(([name, shape]) => [name, shape.join(' × ')]))
  const [theirs, ours] = [named(trl.trained), named(saqr.trained)]
  const wrong = [...theirs].find(([name, shape]) => ours.get(name) !== shape) ?? [...ours].find(([name]) => !theirs.has(name))
  if (!wrong) return { name: 'tensors', passed: true, said: `both train the same ${theirs.size} tensors, from the same first values` }
  const [name] = wrong
  const of = (side: Map<string, string>) => side.get(name) ?? 'none'
  return { name: 'tensors', passed: false, said: `${name}: TRL trains ${of(theirs)}, saqr ${of(ours)}` }
}

/** of a learning rate: both compute it in f64, in some ten operations */
const SAME_RATE = 1e-12

function ratesCheck(trl: Side, saqr: Side): Check {
  const wrong = trl.rates.findIndex((rate, i) => !(Math.abs(saqr.rates[i]! - rate) <= SAME_RATE * Math.abs(rate)))
  const [theirs, ours] = [trl.rates[wrong], saqr.rates[wrong]]
  if (trl.rates.length !== saqr.rates.length || trl.rates.length === 0)
    return { name: 'rates', passed: false, said: `learning rates of ${trl.rates.length} steps in TRL, of ${saqr.rates.length} in saqr` }
  if (wrong >= 0)
    return { name: 'rates', passed: false, said: `the learning rate of step ${wrong + 1} is ${theirs} in TRL, ${ours} in saqr` }
  return { name: 'rates', passed: true, said: `the same learning rate in each of ${trl.rates.length} steps` }
}

function lossPairs(trl: Side, saqr: Side, { loss }: Tolerances): LossPair[] {
  const steps = Math.min(trl.losses.length, saqr.losses.length)
  return Array.from({ length: steps }, (_, i) => {
    const [theirs, ours] = [trl.losses[i]!, saqr.losses[i]!]
    const allowed = loss.value * Math.sqrt(i + 1) * Math.max(1, Math.abs(theirs))
    return { step: i + 1, trl: theirs, saqr: ours, difference: Math.abs(ours - theirs), allowed }
  })
}

function lossCheck(trl: Side, saqr: Side, losses: readonly LossPair[]): Check {
  if (trl.losses.length !== saqr.losses.length || losses.length === 0)
    return { name: 'loss', passed: false, said: `TRL made ${trl.losses.length} steps, saqr ${saqr.losses.length}` }
  // NaN is above everything
  const worst = losses.reduce((a, b) => (b.difference / b.allowed <= a.difference / a.allowed ? a : b))
  const passed = losses.every(({ difference, allowed }) => difference <= allowed)
  const [at, least] = [worst.difference.toExponential(1), worst.allowed.toExponential(1)]
  return {
    name: 'loss',
    passed,
    said: `losses of ${losses.length} steps: nearest to its limit in step ${worst.step}, ${at} apart where ${least} is allowed`,
  }
}

function gradientPairs(trl: Side, saqr: Side, { gradient, later }: Tolerances, yardstick: Yardstick | null): GradientPair[] {
  const names = new Set([...trl.gradients.keys(), ...saqr.gradients.keys()])
  const pairs = [...names].map((name): GradientPair => {
    const [theirs, ours] = [trl.gradients.get(name), saqr.gradients.get(name)]
    const step = (theirs ?? ours)!.step
    const allowed = Math.max(step === 1 ? gradient.value : later.value, yardstick === null ? 0 : allowedOf(yardstick, name, step))
    const missing = { name, step, norm: 0, difference: null, allowed }
    if (!theirs || !ours || theirs.step !== ours.step || theirs.shape.join() !== ours.shape.join()) return missing
    return { ...missing, ...distance(tensorValues(saqr.gradientFile, ours), tensorValues(trl.gradientFile, theirs)) }
  })
  const share = ({ difference, allowed }: GradientPair) =>
    difference === null || Number.isNaN(difference) ? Number.POSITIVE_INFINITY : difference / allowed
  return pairs.sort((a, b) => share(b) - share(a))
}

function wholeOf(pairs: readonly GradientPair[]): number {
  let [off, all] = [0, 0]
  for (const { step, norm, difference } of pairs) {
    if (step !== 1 || difference === null) continue
    off += (difference * norm) ** 2
    all += norm ** 2
  }
  return all === 0 ? 0 : Math.sqrt(off / all)
}

function gradientsCheck(
  pairs: readonly GradientPair[],
  { whole, allowed, trained }: { whole: number; allowed: number; trained: number },
): Check {
  const [worst] = pairs
  if (!worst) return { name: 'gradients', passed: false, said: `no tensor has a gradient in the first ${GRADIENT_STEPS} steps` }
  const passed = whole <= allowed && pairs.every(({ difference, allowed }) => difference !== null && difference <= allowed)
  const without = trained - pairs.length
  const none = without > 0 ? `; ${without} more are 0 on both sides in the first ${GRADIENT_STEPS} steps` : ''
  const small = (n: number) => n.toExponential(1)
  const all = `gradients of ${pairs.length} tensors: those of step 1 ${small(whole)} of their norm apart where ${small(allowed)} is allowed`
  const one =
    worst.difference === null
      ? `${worst.name} has one on one side alone in step ${worst.step}`
      : `nearest to its limit ${worst.name} in step ${worst.step}, ${small(worst.difference)} where ${small(worst.allowed)} is allowed`
  return { name: 'gradients', passed, said: `${all}; ${one}${none}` }
}

function lengthCheck(ratio: number, allowed: number): Check {
  const off = Math.abs(ratio - 1)
  const said = `length of all gradients of step 1: ${off.toExponential(1)} apart where ${allowed.toExponential(1)} is allowed`
  return { name: 'length', passed: off <= allowed, said }
}

function weightsCheck({ tensors, whole, wholeAllowed, length, lengthAllowed }: Moves, steps: number): Check {
  const [worst] = tensors
  if (!worst) return { name: 'weights', passed: false, said: 'nothing is trained' }
  const off = Math.abs(length - 1)
  const passed =
    whole <= wholeAllowed &&
    off <= lengthAllowed &&
    tensors.every(({ difference, allowed }) => difference !== null && difference <= allowed)
  const small = (n: number) => n.toExponential(1)
  const all = `weights after step ${steps}: ${small(whole)} of their way apart where ${small(wholeAllowed)} is allowed, its length ${small(off)} where ${small(lengthAllowed)} is`
  const one =
    worst.difference === null
      ? `${worst.name} has moved on one side alone`
      : `nearest to its limit ${worst.name}, ${small(worst.difference)} where ${small(worst.allowed)} is allowed`
  return { name: 'weights', passed, said: `${all}; ${one}` }
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
