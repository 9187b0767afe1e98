/**
 * torch's log-softmax on the CPU adds a vocabulary's exponentials in f32, in as many sums as a vector has lanes, one term behind the other: what is
 * below half a last bit of such a sum is lost, always on one side. Every log-probability is then too large, and gradients are apart by more than
 * sums in another order explain. Losses that go by it (nn.CrossEntropyLoss, of ORPO and CPO) are compared with TRL's run whose softmax adds in f64.
 */
import { makeFolder } from '../../hub/files.ts'
import type { Proof } from './compare.ts'
import { progress } from './progress.ts'
import { runTrl, type TrlRequest, type TrlSide } from './trl-side.ts'
import { yardstickOf } from './yardstick.ts'

export const EXACT_SUM =
  'In f32 TRL’s log-softmax added in f64: torch’s own on the CPU adds a vocabulary’s exponentials one behind the other in f32 and loses those that are below half a last bit of the sum, which makes every log-probability too large.'

/** lanes of the narrowest vector that torch has: the longest sums */
const LANES = 4

/** Is all that fails something that this sum may explain? Each term rounds the sum by 2⁻²⁴ of it at the most, and a loss is a mean of its logarithms. */
export function maySumExplain({ passed, checks, losses }: Proof, vocab: number): boolean {
  const most = (vocab / LANES) * 2 ** -24
  return (
    !passed &&
    checks.every(({ arithmetic, passed }) => arithmetic === 'f32' || passed) &&
    losses.every(({ trl, difference, allowed }) => difference <= allowed + most * Math.max(1, Math.abs(trl)))
  )
}

/** TRL once more with that sum in f64. @returns what it computed so, with the first run's speed and memory, and what is said of both */
export async function summedExactly(trl: TrlSide, theirs: Omit<TrlRequest, 'onStep'>): Promise<{ trl: TrlSide; said: string[] }> {
  const { io, steps } = theirs
  io.out.write('TRL once more, its log-softmax added in f64: what torch’s own sum loses in f32\n')
  makeFolder(theirs.work)
  const onStep = (step: number, loss: number) => progress(io, 'TRL', step, steps, loss)
  const exact = await runTrl({ ...theirs, exactSoftmax: true, onStep })
  const { losses, gradients, gradientFile, end } = exact
  const { steps: apart } = yardstickOf(trl, exact)
  const [first, gradient] = [Math.abs(losses[0]! - trl.losses[0]!), apart.get(1) ?? 0]
  const moved = `TRL’s first loss moves by ${first.toExponential(1)} so, its first gradients by ${gradient.toExponential(1)} of their norm; losses, gradients and weights here are of that run, speed and memory of the one before`
  return { trl: { ...trl, losses, gradients, gradientFile, end }, said: [EXACT_SUM, `${moved}.`] }
}
