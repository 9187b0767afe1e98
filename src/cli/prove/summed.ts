/**
 * torch's log-softmax on the CPU adds a vocabulary's exponentials in f32, in as many sums as a vector has lanes, one term behind the other: what is
 * below half a last bit of such a sum is lost, always on one side. Every log-probability is then too large, and gradients are apart by more than
 * sums in another order explain. Losses that go by it (nn.CrossEntropyLoss, of ORPO and CPO; TRL's first run says whether its do) are compared with
 * TRL's run whose softmax adds in f64.
 */
import { compare, type Facts, type Proof } from './compare.ts'
import { progress } from './progress.ts'
import { ran, whyNot } from './ran.ts'
import type { SaqrSide } from './saqr-side.ts'
import { runTrl, type TrlRequest, type TrlSide } from './trl-side.ts'
import { yardstickOf } from './yardstick.ts'

export const EXACT_SUM =
  'In f32 TRL’s log-softmax added in f64: torch’s own on the CPU adds a vocabulary’s exponentials one behind the other in f32 and loses those that are below half a last bit of the sum, which makes every log-probability too large.'

/** lanes of the narrowest vector that torch has: the longest sums */
const LANES = 4

/**
 * In f32, is all that fails something that this sum may explain, and are TRL's losses made of it? Each term rounds the sum by 2⁻²⁴ of it at the
 * most, and a loss is a mean of its logarithms.
 */
export function maySumExplain({ passed, checks, losses }: Proof, trl: Pick<TrlSide, 'half' | 'logSoftmax'>, vocab: number): boolean {
  const most = (vocab / LANES) * 2 ** -24
  return (
    !passed &&
    !trl.half &&
    trl.logSoftmax &&
    checks.every(({ arithmetic, passed }) => arithmetic === 'f32' || passed) &&
    losses.every(({ trl, difference, allowed }) => difference <= allowed + most * Math.max(1, Math.abs(trl)))
  )
}

/** What a proof was made of. */
export interface Compared {
  trl: TrlSide
  saqr: SaqrSide
  facts: Facts
}

/**
 * A proof that fails, made anew with what TRL computes where that sum is in f64; speed and memory are of the first run. Where TRL can't run so, it
 * is the proof as it was, and says that.
 */
export async function summedExactly(
  proof: Proof,
  { trl, saqr, facts }: Compared,
  theirs: Omit<TrlRequest, 'onStep'>,
  run: typeof runTrl = runTrl,
): Promise<Proof> {
  const { io, steps } = theirs
  io.out.write('TRL once more, its log-softmax added in f64: what torch’s own sum loses in f32\n')
  const onStep = (step: number, loss: number) => progress(io, 'TRL', step, steps, loss)
  const exact = await ran(io.signal, () => run({ ...theirs, exactSoftmax: true, onStep }), theirs.work)
  if (exact instanceof Error) {
    const said = `TRL could not be run again with its log-softmax added in f64 (${whyNot(exact, theirs.log)}), so whether what torch’s own sum loses in f32 is all that is apart isn’t known.`
    io.err.write(`saqr: ${said}\n`)
    return { ...proof, inF32: [...proof.inF32, said] }
  }
  const { losses, gradients, gradientFile, end } = exact
  const { steps: apart } = yardstickOf(trl, exact)
  const [first, gradient] = [Math.abs(losses[0]! - trl.losses[0]!), apart.get(1) ?? 0]
  const moved = `TRL’s first loss moves by ${first.toExponential(1)} so, its first gradients by ${gradient.toExponential(1)} of their norm; losses, gradients and weights here are of that run, speed and memory of the one before.`
  return compare({ ...trl, losses, gradients, gradientFile, end }, saqr, { ...facts, inF32: [...facts.inF32, EXACT_SUM, moved] })
}
