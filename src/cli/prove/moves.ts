/**
 * What training did to the weights: of each tensor how far it has gone from where both sides began, and how far apart the two ways are.
 * Weights themselves would say nothing: twenty steps change them by a thousandth, and what hasn't moved is alike on both sides.
 */
import { type KeptTensor, type Side, tensorValues, type Values } from './recorded.ts'
import { lengthOf, signsDiffer, type Tolerances } from './tolerances.ts'

export interface MovePair {
  name: string
  /** ‖TRL's last − first‖₂ */
  moved: number
  /** ‖saqr's last − TRL's last‖₂ / moved; null: one side has moved what the other hasn't, or hasn't got */
  difference: number | null
  allowed: number
}

export interface Moves {
  /** those nearest to their limit first */
  tensors: MovePair[]
  /** of all tensors as one vector */
  whole: number
  wholeAllowed: number
  /** ‖saqr's way‖ / ‖TRL's way‖ of the same; 1 where there is none */
  length: number
  lengthAllowed: number
}

/** half of the last bit of weights that are stored so, as a share of them: what a step may round away, in as many directions as there are steps */
export const ROUNDED: Readonly<Record<string, number>> = { 'torch.bfloat16': 2 ** -9, 'torch.float16': 2 ** -12 }

/** What is known of both sides beside their weights. */
export interface Known {
  /** types of TRL's trained tensors, by name */
  dtypes: ReadonlyMap<string, string>
  /** ‖saqr − TRL‖ / ‖TRL‖ of tensors' gradients, by name: a tensor follows its own */
  gradients: ReadonlyMap<string, number>
  tolerances: Tolerances
}

export function movesOf(trl: Side, saqr: Side & { start: Values }, { dtypes, gradients, tolerances: { whole, move } }: Known): Moves {
  const all = { off: 0, theirs: 0, ours: 0, lost: 0 }
  const names = new Set([...trl.end.tensors.keys(), ...saqr.end.tensors.keys()])
  const tensors = [...names].map((name): MovePair => {
    const [theirs, ours, first] = [trl.end, saqr.end, saqr.start].map((values) => valuesOf(values, name))
    if (!theirs || !ours || !first || theirs.length !== first.length || ours.length !== first.length)
      return { name, moved: 0, difference: null, allowed: move.value }
    const sums = { off: 0, theirs: 0, ours: 0, values: 0 }
    for (let i = 0; i < first.length; i++) {
      sums.off += (ours[i]! - theirs[i]!) ** 2
      sums.theirs += (theirs[i]! - first[i]!) ** 2
      sums.ours += (ours[i]! - first[i]!) ** 2
      sums.values += theirs[i]! ** 2
    }
    for (const key of ['off', 'theirs', 'ours'] as const) all[key] += sums[key]
    const moved = Math.sqrt(sums.theirs)
    const signs = signsDiffer(Math.max(whole.value, gradients.get(name) ?? 0), { numbers: first.length, tensors: names.size })
    const lost = (ROUNDED[dtypes.get(name) ?? ''] ?? 0) * Math.sqrt((trl.losses.length * sums.values) / 3)
    all.lost += lost ** 2
    const share = sums.off === 0 ? 0 : Math.sqrt(sums.off) / moved
    return {
      name,
      moved,
      difference: share === Number.POSITIVE_INFINITY ? null : share,
      allowed: signs + (moved > 0 ? lost / moved : 0),
    }
  })
  const near = ({ difference, allowed }: MovePair) =>
    difference === null || Number.isNaN(difference) ? Number.POSITIVE_INFINITY : difference / allowed
  const lost = all.theirs > 0 ? Math.sqrt(all.lost / all.theirs) : 0
  return {
    tensors: tensors.sort((a, b) => near(b) - near(a)),
    wholeAllowed: move.value + lost,
    lengthAllowed: lengthOf(signsDiffer(whole.value) + lost),
    whole: all.off === 0 ? 0 : Math.sqrt(all.off / all.theirs),
    length: all.theirs === 0 ? 1 : Math.sqrt(all.ours / all.theirs),
  }
}

function valuesOf({ tensors, file }: Values, name: string): Float32Array | null {
  const tensor: KeptTensor | undefined = tensors.get(name)
  return tensor ? tensorValues(file, tensor) : null
}
