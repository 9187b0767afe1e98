/** `shuffle` and `train_test_split` of `datasets`: the same rows for the same seed. */
import { SaqrError } from '../error.ts'
import { type Check, flag, number, orNull, refused, shown, takeOptions, whole } from '../hub/arguments.ts'
import { numpyPermutation } from './pcg64.ts'

/** Options of Dataset.trainTestSplit. */
export interface SplitOptions {
  /** rows of `test`: below 1 a share of all (rounded up), else their number; default 0.25 */
  testSize?: number | null
  /** rows of `train`: below 1 a share of all (rounded down), else their number; default: what is left */
  trainSize?: number | null
  /** default true; false: the first rows are `train`, the next ones `test` */
  shuffle?: boolean
  /** default 42 */
  seed?: number | null
}

const SEED = 42
const seed = orNull(whole(0))
const share: Check<number | null> = orNull(
  number('a share below 1 or a number of rows', (n) => n > 0 && (n < 1 || Number.isSafeInteger(n))),
)

export function takeSeed(given: { seed?: number | null } | undefined): number {
  if (typeof given === 'number') throw new SaqrError('OPTION_INVALID', `shuffle takes its seed as { seed: ${shown(given)} }`)
  return takeOptions<{ seed?: number | null }>(given, 'shuffle', { seed }).seed ?? SEED
}

export const splitOrder: (rows: number, seed: number) => Int32Array = numpyPermutation

/** Numbers of the rows of each part. @throws SaqrError OPTION_INVALID */
export function takeSplit(rows: number, given: SplitOptions | number | undefined): { train: Int32Array; test: Int32Array } {
  const options = typeof given === 'number' ? { testSize: given } : given
  const o = takeOptions<SplitOptions & { stratifyByColumn: undefined }>(options, 'trainTestSplit', {
    testSize: share,
    trainSize: share,
    shuffle: flag,
    seed,
    stratifyByColumn: refused('rows are not split by class: filter the rows of each class and split those'),
  })
  const { testSize = null, trainSize = null, shuffle = true } = o
  const of = (size: number, round: (x: number) => number) => (size < 1 ? round(size * rows) : size)
  const asked = testSize === null && trainSize === null ? 0.25 : testSize
  let test = asked === null ? null : of(asked, Math.ceil)
  const train = trainSize === null ? rows - test! : of(trainSize, Math.floor)
  test ??= rows - train
  if (rows > 0 && (train < 1 || test < 0 || train + test > rows))
    throw new SaqrError('OPTION_INVALID', `trainTestSplit: ${rows} rows can't be parted into ${train} to train on and ${test} to test with`)
  const order = shuffle ? splitOrder(rows, o.seed ?? SEED) : Int32Array.from({ length: rows }, (_, i) => i)
  if (!shuffle) return { train: order.subarray(0, train), test: order.subarray(train, train + test) }
  return { test: order.subarray(0, test), train: order.subarray(test, test + train) }
}
