/** What both sides did in one arithmetic, compared: losses, gradients, and the way that weights went. */
import { type MovePair, type Moves, movesOf } from './moves.ts'
import { GRADIENT_STEPS, matrix, type Side, tensorValues } from './recorded.ts'
import type { SaqrSide } from './saqr-side.ts'
import { type Tolerances, tolerancesOf } from './tolerances.ts'
import type { TrlSide } from './trl-side.ts'
import { allowedOf, distance, lengthRatio, measured, type Yardstick } from './yardstick.ts'

export interface Check {
  name: 'rows' | 'tensors' | 'rates' | 'loss' | 'gradients' | 'length' | 'weights'
  /** of the run that was looked at; null: nothing of it is computed in one */
  arithmetic: 'f32' | 'bf16' | null
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

export interface Measures {
  arithmetic: 'f32' | 'bf16'
  tolerances: Tolerances
  checks: Check[]
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
}

export interface Sides {
  trl: TrlSide
  saqr: SaqrSide
}

/**
 * @param yardstick what half precision costs TRL itself; null: the arithmetic says it
 * @param exact were both compared in f32 too?
 */
export function measure({ trl, saqr }: Sides, arithmetic: 'f32' | 'bf16', yardstick: Yardstick | null, exact: boolean): Measures {
  const sizes = { ...saqr, leastMoved: leastMoved(trl), tensors: saqr.trained.length }
  const computed = tolerancesOf(arithmetic, sizes)
  const tolerances = yardstick === null ? computed : measured(computed, yardstick, sizes, exact)
  const losses = lossPairs(trl, saqr, tolerances)
  const gradients = gradientPairs(trl, saqr, tolerances, yardstick)
  const wholeGradient = wholeOf(gradients)
  const ratio = lengthRatio(saqr, trl)
  const apart = new Map(gradients.flatMap(({ name, difference }) => (Number.isFinite(difference) ? [[name, difference!]] : [])))
  const moves = movesOf(trl, saqr, { dtypes: trl.dtypes, gradients: apart, tolerances })
  const found = [
    lossCheck(trl, saqr, losses),
    gradientsCheck(gradients, { whole: wholeGradient, allowed: tolerances.whole.value, trained: saqr.trained.length }),
    ...(tolerances.length === null ? [] : [lengthCheck(ratio, tolerances.length.value)]),
    weightsCheck(moves, losses.length),
  ]
  return {
    ...{ arithmetic, tolerances, losses, gradients, wholeGradient },
    checks: found.map((check) => ({ ...check, arithmetic })),
    lengthRatio: ratio,
    wholeMove: moves.whole,
    moveRatio: moves.length,
    moves: moves.tensors,
    wholeMoveAllowed: moves.wholeAllowed,
    moveRatioAllowed: moves.lengthAllowed,
  }
}

export type Found = Omit<Check, 'arithmetic'>

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

function lossPairs(trl: Side, saqr: Side, { loss }: Tolerances): LossPair[] {
  const steps = Math.min(trl.losses.length, saqr.losses.length)
  return Array.from({ length: steps }, (_, i) => {
    const [theirs, ours] = [trl.losses[i]!, saqr.losses[i]!]
    const allowed = loss.value * Math.sqrt(i + 1) * Math.max(1, Math.abs(theirs))
    return { step: i + 1, trl: theirs, saqr: ours, difference: Math.abs(ours - theirs), allowed }
  })
}

function lossCheck(trl: Side, saqr: Side, losses: readonly LossPair[]): Found {
  if (trl.losses.length !== saqr.losses.length || losses.length === 0)
    return { name: 'loss', passed: false, said: `TRL made ${trl.losses.length} steps, saqr ${saqr.losses.length}` }
  const none = losses.find(({ trl, saqr }) => !Number.isFinite(trl) || !Number.isFinite(saqr))
  if (none) {
    const of = (whose: string, why = ''): Found => ({
      name: 'loss',
      passed: false,
      said: `${whose} loss of step ${none.step} is no number${why}`,
    })
    if (Number.isFinite(none.trl)) return of('saqr’s')
    if (!Number.isFinite(none.saqr)) return of('both sides’')
    return of(
      'TRL’s',
      ': it may be that the prompt of a row alone fills max_length, so that its answer has no mean; saqr leaves such rows out',
    )
  }
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
    if (!theirs || !ours || theirs.step !== ours.step || matrix(theirs.shape) !== matrix(ours.shape)) return missing
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
): Found {
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

function lengthCheck(ratio: number, allowed: number): Found {
  const off = Math.abs(ratio - 1)
  const said = `length of all gradients of step 1: ${off.toExponential(1)} apart where ${allowed.toExponential(1)} is allowed`
  return { name: 'length', passed: off <= allowed, said }
}

function weightsCheck({ tensors, whole, wholeAllowed, length, lengthAllowed }: Moves, steps: number): Found {
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
