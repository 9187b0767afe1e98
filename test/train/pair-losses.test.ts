/** Slopes of every loss of a pair against differences, in f64; their values are TRL's (test/parity/preference.test.ts). */
import { describe, expect, it } from 'vitest'
import { bent } from '../../src/train/objectives/cpo.ts'
import { ratedLoss } from '../../src/train/objectives/kto.ts'
import { oddsRatio } from '../../src/train/objectives/orpo.ts'
import { diverged, divergences, type PairLoss, pairLosses, smoothed } from '../../src/train/objectives/pair-losses.ts'

const STEP = 1e-5
const POINTS = [-31, -4, -0.3, 0, 0.8, 5, 27]
const settings = { beta: 0.7, labelSmoothing: 0.2, discopopTau: 0.3 }
const lengths = { chosen: 3, rejected: 5 }

/** central differences are off by STEP² of the third derivative, and by rounding over STEP */
function expectSlope(slope: number, of: (x: number) => number, at: number): void {
  const measured = (of(at + STEP) - of(at - STEP)) / (2 * STEP)
  expect(Math.abs(slope - measured)).toBeLessThan(1e-6 * Math.max(1, Math.abs(measured), Math.abs(of(at))))
}

describe.each(Object.entries(pairLosses) as [string, PairLoss][])('%s', (_, loss) => {
  it.each(POINTS.flatMap((c) => POINTS.map((r) => [c + 0.013, r - 0.007])))('at %d, %d', (c, r) => {
    const [, dC, dR] = loss.of(c!, r!, settings, lengths)
    expectSlope(dC, (x) => loss.of(x, r!, settings, lengths)[0], c!)
    expectSlope(dR, (x) => loss.of(c!, x, settings, lengths)[0], r!)
  })
})

// TRL 1.16 reads label_smoothing for robust, exo_pair and aot alone
it.each(POINTS)('sigmoid is not smoothed, robust is, at %d', (c) => {
  const sharp = { ...settings, labelSmoothing: 0 }
  expect(pairLosses.sigmoid.of(c, 0.5, settings, lengths)).toEqual(pairLosses.sigmoid.of(c, 0.5, sharp, lengths))
  expect(pairLosses.robust.of(c, 0.5, settings, lengths)).not.toEqual(pairLosses.robust.of(c, 0.5, sharp, lengths))
})

it.each(POINTS)('smoothed, at %d', (margin) => {
  expectSlope(smoothed(margin, settings)[1], (x) => smoothed(x, settings)[0], margin)
})

it.each(divergences.flatMap((type) => [-6, -0.5, 0, 1, 7].map((at) => [type, at] as const)))('%s, at %d', (type, at) => {
  expectSlope(diverged(at, type, 0.4)[1], (x) => diverged(x, type, 0.4)[0], at)
})

// log-probabilities of a token: below 0, and where 1 − p cancels
it.each([-9, -0.7, -0.02].flatMap((c) => [-6, -0.6, -0.03].map((r) => [c, r])))('the odds ratio at %d, %d', (c, r) => {
  const { dChosen, dRejected } = oddsRatio(c!, r!)
  expectSlope(dChosen, (x) => oddsRatio(x, r!).loss, c!)
  expectSlope(dRejected, (x) => oddsRatio(c!, x).loss, r!)
})

it.each([true, false].flatMap((wanted) => POINTS.map((at) => [wanted, at] as const)))('a rated answer, wanted %s, at %d', (wanted, at) => {
  expectSlope(ratedLoss(at, 0.4, wanted, 0.7)[1], (x) => ratedLoss(x, 0.4, wanted, 0.7)[0], at)
})

it.each([-7, -1, -0.1])('AlphaPO’s reward at %d', (at) => {
  expectSlope(bent(at, 0.3)[1], (x) => bent(x, 0.3)[0], at)
})
