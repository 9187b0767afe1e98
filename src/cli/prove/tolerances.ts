/** How far two programs may be apart that compute the same in another order: from the arithmetic, with the reason beside each number. What bf16 does to gradients depends on the model too, so it is measured where that can be (yardstick.ts). */

export interface Tolerance {
  value: number
  why: string
}

export interface Tolerances {
  /** ‖saqr − TRL‖ / ‖TRL‖ of the gradients of the first step, all as one vector */
  whole: Tolerance
  /** the same of one tensor's */
  gradient: Tolerance
  /** the same of a gradient that is 0 until the optimiser has moved something */
  later: Tolerance
  /** |‖saqr‖ / ‖TRL‖ − 1| of all gradients of the first step; null: `whole` says as much */
  length: Tolerance | null
  /** ‖saqr − TRL‖ / ‖TRL‖ of how far weights have gone from the first step to the last: of all, and of each tensor */
  move: Tolerance
  /** |‖saqr‖ / ‖TRL‖ − 1| of how far all have gone */
  moveLength: Tolerance
  /** |saqr − TRL| of step k's loss, as a share of the loss, at least of 1: this times √k */
  loss: Tolerance
}

export interface Sizes {
  layers: number
  longestSum: number
  /** what errors of a gradient are spread over, at the most DIRECTIONS: its sequences, where each one's weight follows from scores that err */
  directions: number
  /** numbers of the smallest tensor that the first step moves */
  leastMoved: number
  /** tensors that are trained: each is asked */
  tensors: number
}

/** of signs that differ in a tensor of few numbers */
export const COUNTED =
  'signs are a whole number, so of few numbers as many may differ as no tensor of the run has more, but once in a thousand runs'

const UNIT = { f32: 2 ** -24, bf16: 2 ** -8 }
/** tensors that a block and its gradient write, each rounded */
const ROUNDINGS = 24

export function tolerancesOf(
  arithmetic: 'f32' | 'bf16',
  { layers, longestSum, leastMoved, tensors }: Pick<Sizes, 'layers' | 'longestSum' | 'leastMoved' | 'tensors'>,
): Tolerances {
  const unit = UNIT[arithmetic]
  const roundings = ROUNDINGS * (layers + 1)
  const sum = arithmetic === 'f32' ? longestSum : 1
  const whole = Math.SQRT2 * unit * Math.sqrt(roundings * sum)
  const later = signsDiffer(whole, { numbers: leastMoved, tensors })
  const said = arithmetic === 'f32' ? '2⁻²⁴ in f32' : '2⁻⁸ in bf16'
  const sums =
    arithmetic === 'f32'
      ? `, in products whose sums of up to ${longestSum} terms are added in another order (√${longestSum})`
      : '; sums are added in f32'
  return {
    whole: {
      value: whole,
      why: `a rounding moves a number by up to ${said}; about ${roundings} tensors are rounded on the way through ${layers} layers and back, and their errors add up as a random walk (√${roundings})${sums}; two programs err independently (√2)`,
    },
    gradient: {
      value: 2 * whole,
      why: 'twice that of all: the gradients of scores, which those of q and k are made of, are differences from a mean; where the mean has half of the square, what is left is smaller by √2 than its terms, and both err (√2)',
    },
    later: {
      value: later,
      why: `it is 0 until the optimiser has moved the other factor; Adam’s first step goes by the sign of each gradient, and signs of those near 0 differ where gradients differ by δ: a share δ/π of them, each by twice the step, 2·√(δ/π) in all, δ being what all gradients of the first step are allowed; ${COUNTED}`,
    },
    length: null,
    ...ofMoves(whole),
    loss: {
      value: LOSS[arithmetic],
      why: LOSS_WHY[arithmetic],
    },
  }
}

/**
 * ‖Δ‖ / ‖step‖ of a step that goes by the sign of each gradient, where gradients differ by a share δ: a share δ/π of the signs differ, each by
 * twice the step. They are counted, and each of `tensors` is asked: of 120 tensors of 3072 numbers, where a tenth of a sign is expected of each,
 * a dozen have one.
 * @param of numbers of one tensor, and how many tensors are asked; null: all numbers there are, whose share it is
 */
export function signsDiffer(delta: number, of: { numbers: number; tensors: number } | null = null): number {
  const share = delta / Math.PI
  const most = of !== null && Number.isFinite(of.numbers) ? mostOf(share * of.numbers, SELDOM / of.tensors) / of.numbers : share
  return Math.min(2, 2 * Math.sqrt(Math.max(share, most)))
}

/** a proof that fails though all is well */
const SELDOM = 1e-3
/** from here on counts are spread as a normal law has them */
const MANY = 1e4

/** The least count that is exceeded no more often than `chance`, where `expected` are: each of many numbers for itself, seldom (Poisson's law). */
function mostOf(expected: number, chance: number): number {
  // five of its roots: 3·10⁻⁷
  if (!(expected < MANY)) return expected + 5 * Math.sqrt(expected)
  let log = -expected // of the chance of a count of 0
  for (let count = 0; ; count++) {
    log += Math.log(expected / (count + 1)) // of count + 1, whose successors fall off at least as a geometric series from there on
    const falls = expected / (count + 2)
    if (falls < 1 && Math.exp(log) / (1 - falls) <= chance) return count
  }
}

/** least number of directions that an error is spread over: tokens of a step times layers are more */
export const DIRECTIONS = 100

/** Of a way's length: errors that go nowhere in particular, and their square. @param apart what the way may be apart, as a share of it */
export const lengthOf = (apart: number): number => apart / Math.sqrt(DIRECTIONS) + apart ** 2 / 2

/** @param delta what all gradients of the first step are allowed to be apart */
export function ofMoves(delta: number): Pick<Tolerances, 'move' | 'moveLength'> {
  const apart = signsDiffer(delta)
  return {
    move: {
      value: apart,
      why: `Adam’s first step is as long for a gradient near 0 as for any other and goes by its sign, which differs where gradients differ by δ: 2·√(δ/π) of the way, δ being what all gradients of the first step are allowed; later steps go by means of gradients, in which this weighs ever less. So it is the way that is compared, tensor by tensor, not the weights, of which it is a thousandth`,
    },
    moveLength: {
      value: lengthOf(apart),
      why: `a sign that differs leaves the way as long as it was, and errors that go nowhere in particular change its length by 1/√${DIRECTIONS} of them and half of their square, while a wrong rate, loss or decay changes it`,
    },
  }
}

const LOSS = { f32: 2e-5, bf16: 5e-3 }
const GROWS = 'what steps add to it adds up as a random walk (√k at step k)'
const LOSS_WHY = {
  f32: `sums of thousands of f32 terms in another order are apart by some 10⁻⁶ of their terms; ${GROWS}`,
  bf16: `logits that differ by a rounding (2⁻⁸ of their size) differ by some hundredths; their mean over the targets of a step by a tenth of that; ${GROWS}`,
}
