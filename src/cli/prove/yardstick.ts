/** What half precision costs TRL itself: its first gradients and its losses beside those of the same run in f32, from the same values over the same rows. */
import { type Side, tensorValues } from './recorded.ts'
import { COUNTED, DIRECTIONS, ofMoves, type Sizes, signsDiffer, type Tolerances } from './tolerances.ts'

type Gradients = Pick<Side, 'gradients' | 'gradientFile'>
export type F32Run = Gradients & Pick<Side, 'losses'>

export interface Yardstick {
  /** ‖TRL − TRL in f32‖ / ‖TRL in f32‖ by tensor */
  tensors: ReadonlyMap<string, number>
  /** by step: of all tensors whose gradient is first not 0 in it, as one vector */
  steps: ReadonlyMap<number, number>
  /** of the first step's: how far their length is from f32's, as a share of it */
  length: number
  /** |TRL − TRL in f32| of step k's loss, as a share of the loss, at least of 1, over √k: the root mean square of all steps */
  loss: number
}

/** in f64 */
export function distance(ours: Float32Array, theirs: Float32Array): { norm: number; difference: number } {
  let [off, norm] = [0, 0]
  for (let i = 0; i < theirs.length; i++) {
    off += (ours[i]! - theirs[i]!) ** 2
    norm += theirs[i]! ** 2
  }
  return { norm: Math.sqrt(norm), difference: Math.sqrt(off / norm) }
}

/** ‖ours‖ / ‖theirs‖ of the first step's gradients that both have, as one vector; 1 where there are none */
export function lengthRatio(ours: Gradients, theirs: Gradients): number {
  let [a, b] = [0, 0]
  for (const [name, tensor] of theirs.gradients) {
    const same = ours.gradients.get(name)
    if (tensor.step !== 1 || same?.step !== 1) continue
    for (const x of tensorValues(ours.gradientFile, same)) a += x ** 2
    for (const x of tensorValues(theirs.gradientFile, tensor)) b += x ** 2
  }
  return b === 0 ? 1 : Math.sqrt(a / b)
}

export function yardstickOf(half: F32Run, f32: F32Run): Yardstick {
  const tensors = new Map<string, number>()
  const sums = new Map<number, { off: number; norm: number }>()
  for (const [name, tensor] of f32.gradients) {
    const same = half.gradients.get(name)
    if (same?.step !== tensor.step) continue
    const { norm, difference } = distance(tensorValues(half.gradientFile, same), tensorValues(f32.gradientFile, tensor))
    tensors.set(name, difference)
    const { off, norm: all } = sums.get(tensor.step) ?? { off: 0, norm: 0 }
    sums.set(tensor.step, { off: off + (difference * norm) ** 2, norm: all + norm ** 2 })
  }
  const steps = new Map([...sums].map(([step, { off, norm }]) => [step, Math.sqrt(off / norm)]))
  return { tensors, steps, length: Math.abs(lengthRatio(half, f32) - 1), loss: lossOff(half.losses, f32.losses) }
}

/** 0 where neither made a step */
function lossOff(half: readonly number[], f32: readonly number[]): number {
  const count = Math.min(half.length, f32.length)
  let sum = 0
  for (let i = 0; i < count; i++) sum += (half[i]! - f32[i]!) ** 2 / Math.max(1, Math.abs(f32[i]!)) ** 2 / (i + 1)
  return count === 0 ? 0 : Math.sqrt(sum / count)
}

/**
 * Where one errs as TRL does and the other twice as much (autocast keeps sums between layers in f32, which saqr keeps in bf16), independently,
 * they are √(1 + 4) of it apart; the rest is that one step is one draw.
 */
const TIMES = 3
/** A loss, or a length, is one number, not the length of many: each is a draw, within three of what it is on average, which is √5 of TRL's own. */
const ONE_DRAW = 3 * Math.sqrt(5)
/**
 * The arithmetic's tolerances with those of gradients measured instead.
 * @param exact were both compared in f32 too, where a wrong scale, rate or loss shows whatever its size? Then losses, and the length of a gradient, are
 * asked in half precision for no more than what it makes of them by chance
 */
export function measured(
  tolerances: Tolerances,
  { steps, length, loss }: Yardstick,
  { directions, leastMoved, tensors }: Pick<Sizes, 'directions' | 'leastMoved' | 'tensors'>,
  exact: boolean,
): Tolerances {
  const whole = steps.get(1) ?? 0
  if (whole === 0) return tolerances
  const cost = `what half precision costs TRL itself (its gradients beside those of its own run in f32, from the same values over the same rows)`
  const why = `three times ${cost}: where one program errs as much and the other twice as much, independently, they are √5 of it apart, and one step is one draw`
  const later = Math.max(0, ...[...steps].flatMap(([step, off]) => (step > 1 ? [off] : [])))
  const lossLimit = ONE_DRAW * loss
  return {
    ...tolerances,
    ...ofMoves(TIMES * whole),
    loss:
      !exact || lossLimit <= tolerances.loss.value
        ? tolerances.loss
        : {
            value: lossLimit,
            why: `what half precision costs TRL’s own losses (beside those of its own run in f32, over √k at step k, the root mean square of all steps), times 3√5: where one program errs as much and the other twice as much, independently, they are √5 of it apart on average, and each step is one draw, within three times that`,
          },
    whole: { value: TIMES * whole, why },
    gradient: { value: TIMES * whole, why: `three times ${cost} of that tensor alone, where that is more than of all; at least this` },
    later:
      later > 0
        ? {
            // whether a sign differs is yes or no: of few numbers TRL's own run may have none where saqr has one
            value: Math.max(TIMES * later, signsDiffer(TIMES * whole, { numbers: leastMoved, tensors })),
            why: `three times the same of that tensor alone, or of all of its step; at least this, which is what signs may do that differ in the first step (2·√(δ/π) where gradients differ by δ; ${COUNTED}): of ${leastMoved} numbers, the smallest tensor that it moves, none may differ in one run and some in another`,
          }
        : tolerances.later,
    length: {
      value: (exact ? ONE_DRAW : 2) * Math.max(length, whole / Math.sqrt(directions)),
      why: `${
        directions < DIRECTIONS
          ? `a sequence’s weight in the loss follows from scores, which err: that error lies along the sequence’s own gradient, and of ${directions} of them 1/√${directions} lies along all of it`
          : `roundings that go nowhere in particular leave a gradient’s length nearly as it is (1/√${DIRECTIONS} of them lies along it)`
      }, while a wrong scale or rate changes it: ${exact ? 'TRL’s own, or that share, times 3√5, as both err and this is one draw; what both arithmetics share shows in f32 when it is less' : 'twice TRL’s own, or that share'}`,
    },
  }
}

/** ‖saqr − TRL‖ / ‖TRL‖ that a tensor may have, by its own measure */
export const allowedOf = ({ tensors, steps }: Yardstick, name: string, step: number): number =>
  TIMES * Math.max(tensors.get(name) ?? 0, steps.get(step) ?? 0)
