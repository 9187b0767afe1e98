/** How adapters are combined by weights, as programs and `saqr export` are asked for it: PEFT's names of it. */
import type { Combination, MajoritySign } from '../engine/combine.ts'
import type { WeightedBy } from '../engine/weighted-adapter.ts'
import { option, SaqrError, say } from '../error.ts'
import { beside, type Checks, number, orNull, whole, word } from '../hub/arguments.ts'
import type { Need } from '../hub/need.ts'

/** Options of addWeightedAdapter. */
export interface WeightedAdapterOptions {
  /**
   * cat (default): what they do added up, exactly, of all their ranks; svd: the nearest to that of a lower rank; linear: A's and B's added, of one rank;
   * magnitude_prune: linear, of the largest values; ties: those, where the adapters agree with the majority's sign
   */
  combinationType?: Combination
  /** share of the values of each A and B that ties and magnitude_prune keep, from 0 to 1: the largest. They have no default for it */
  density?: number | null
  /** the sign that ties keeps of a value: that of the sum over adapters (total, the default), or of most of them (frequency) */
  majoritySignMethod?: MajoritySign
  /** rank of what svd makes; default: the largest of theirs */
  svdRank?: number | null
}

export const COMBINATIONS = ['cat', 'svd', 'linear', 'ties', 'magnitude_prune'] as const satisfies readonly Combination[]

const drawn = (instead: string) => `it draws at random what is kept, which PEFT's own result depends on too; use ${instead}`
const dense = 'it prunes whole matrices of a model, whose singular values it then asks for; use svd, or prune A and B without _svd'

/** PEFT's other types, and why they are none here */
export const RANDOM_COMBINATIONS: Readonly<Record<string, string>> = {
  dare_linear: drawn('magnitude_prune, or linear'),
  dare_ties: drawn('ties'),
  dare_linear_svd: drawn('svd'),
  dare_ties_svd: drawn('ties'),
  ties_svd: dense,
  magnitude_prune_svd: dense,
}

/** an option of some ways to combine */
const of = (...types: readonly Combination[]): Need => ({
  met: (o) => types.some((type) => type === o.combinationType),
  unless: say`unless ${option('combinationType')} is ${types.join(' or ')}`,
})
export const PRUNES = of('ties', 'magnitude_prune')
export const TIES = of('ties')
export const SVD = of('svd')

export const WEIGHTED: Checks<WeightedAdapterOptions> = {
  combinationType: word(Object.fromEntries(COMBINATIONS.map((type) => [type, type])) as Record<string, Combination>, RANDOM_COMBINATIONS),
  density: beside(PRUNES, orNull(number('a number from 0 to 1', (n) => n >= 0 && n <= 1)), null),
  majoritySignMethod: beside(TIES, word<MajoritySign>({ total: 'total', frequency: 'frequency' }), 'total'),
  svdRank: beside(SVD, orNull(whole(1)), null),
}

export type Combined = { [K in keyof WeightedAdapterOptions]-?: WeightedAdapterOptions[K] }

/** @throws SaqrError OPTION_INVALID where values are to be left out and nothing says how many */
export function weightedBy({
  combinationType: how = 'cat',
  density = null,
  majoritySignMethod = 'total',
  svdRank = null,
}: WeightedAdapterOptions): WeightedBy {
  if (density === null && (how === 'ties' || how === 'magnitude_prune'))
    throw new SaqrError(
      'OPTION_INVALID',
      say`${option('combinationType')} ${how} keeps a share of the values: say which with ${option('density')}, such as 0.5`,
    )
  return { how, density: density ?? 1, majoritySign: majoritySignMethod, svdRank }
}
