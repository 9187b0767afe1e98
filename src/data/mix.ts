/** Shares of several data sets in one, as TRL's DatasetMixtureConfig has them: no row is taken twice. */
import { SaqrError } from '../error.ts'
import { halfToEven } from './split.ts'

/**
 * Rows to take of each: the first so many, as many in all as the shares allow without taking one twice.
 * @param shares of each in all, in any unit
 * @throws SaqrError OPTION_INVALID for shares that are none
 */
export function rowsOfEach(lengths: readonly number[], shares: readonly number[]): number[] {
  const sum = shares.reduce((all, share) => all + share, 0)
  if (!(sum > 0) || !Number.isFinite(sum) || shares.some((share) => share < 0))
    throw new SaqrError(
      'OPTION_INVALID',
      `the shares of data sets in a mixture are numbers of at least 0, one above it, not ${shares.join(', ')}`,
    )
  const weights = shares.map((share) => share / sum)
  const total = Math.min(...weights.flatMap((weight, i) => (weight > 0 ? [lengths[i]! / weight] : [])))
  return weights.map((weight) => halfToEven(weight * total))
}
