/**
 * Adapters over experts that were saved otherwise than PEFT 0.21 does: a low-rank part for each expert's linears (transformers 4, or 4-bit files
 * whose experts are linears), or in and out swapped (PEFT 0.18). PEFT reads the first, as this does: gate and up become one part of twice the rank.
 */
import type { ParameterSpec } from '../adapters/adapter.ts'
import { fromFile } from '../adapters/expert-layout.ts'
import { expertsPath, isParameter } from '../adapters/match.ts'
import { asF32 } from '../formats/numbers.ts'
import type { AdapterConfig } from '../formats/peft/config.ts'
import type { CheckpointTensor } from '../formats/tensor.ts'
import type { Model } from '../models/family.ts'

/** by its name in the file */
type Given = Map<string, CheckpointTensor>

const values = (t: CheckpointTensor) => asF32(t.load('f32'))

/**
 * What reads the values of trained tensors, as they lie here, that `given` has in an older form: those tensors are taken out of it; a router's are
 * renamed.
 * @param names of the model's tensors
 * @param wanted what is trained
 */
export function takeExperts(
  model: Model,
  names: readonly string[],
  config: AdapterConfig,
  given: Given,
  wanted: (name: string) => ParameterSpec | undefined,
): Map<string, () => Float32Array> {
  const taken = new Map<string, () => Float32Array>()
  for (const name of names) if (name.endsWith('.weight')) for (const [only] of model.pieces?.(name) ?? []) rename(given, only!, name)
  const stacks = expertStacks(model, names, config, wanted)
  // where in and out are alike only the others tell
  const older = stacks.some((stack) => liesSwapped(given, stack))
  for (const stack of stacks) {
    const parts = partsOf(stack)
    const ways = [...(model.pieces?.(stack.name) ?? []), ...(model.apart ? [model.apart(stack.name)] : [])]
    const found = given.has(parts[0]) ? (older ? swapped(given, stack) : null) : apart(given, ways, stack)
    if (found) for (const [i, own] of found.entries()) taken.set(parts[i]!, own)
  }
  return taken
}

/** A tensor of all experts of a layer that an adapter has a low-rank part of. */
export interface ExpertStack extends Shapes {
  name: string
  /** before `.lora_A.weight` */
  path: string
  /** what files call each expert's linears, in the order in which they lie in it */
  pieces: readonly string[]
}

export function expertStacks(
  { pieces }: Model,
  names: readonly string[],
  config: AdapterConfig,
  wanted: (name: string) => ParameterSpec | undefined,
): ExpertStack[] {
  return names.flatMap((name) => {
    const path = expertsPath(config, name)
    const [a, b] = ['lora_A', 'lora_B'].map((part) => wanted(`${path}.${part}.weight`))
    if (!isParameter(config, name) || !a?.experts || !b?.experts) return []
    return [{ name, path, pieces: pieces?.(name)[0] ?? [], a, b, experts: b.experts.experts }]
  })
}

/** a module that older files call otherwise */
function rename(given: Given, old: string, name: string): void {
  for (const part of ['lora_A.weight', 'lora_B.weight']) {
    const [from, to] = [old, name].map((tensor) => tensor.replace(/weight$/, part)) as [string, string]
    const t = given.get(from)
    if (!t) continue
    given.delete(from)
    given.set(to, { ...t, name: to })
  }
}

interface Shapes {
  /** (E · r, in) and (E · out, r) */
  a: ParameterSpec
  b: ParameterSpec
  experts: number
}

const partsOf = ({ path }: ExpertStack) => ['lora_A', 'lora_B'].map((part) => `${path}.${part}.weight`) as [string, string]

/** Do the shapes say A (E · r, out) and B (in, r · E)? Not where in and out are alike. */
function liesSwapped(given: Given, stack: ExpertStack): boolean {
  return stack.a.cols !== stack.b.rows / stack.experts && fitsSwapped(given, stack)
}

function fitsSwapped(given: Given, stack: ExpertStack): boolean {
  const { a, b, experts } = stack
  // of weights that lie (in, out) PEFT has never swapped anything
  if (!a.experts!.wide) return false
  const [size, out, ranks] = [a.cols, b.rows / experts, experts * b.cols]
  const [givenA, givenB] = partsOf(stack).map((name) => given.get(name))
  return givenA?.cols === out && givenA.rows === ranks && givenB?.rows === size && givenB.cols === ranks
}

/** A (E · r, out) and B (in, r · E): ΔW_e = A_eᵀ · B_eᵀ. Null where they don't fit so. */
function swapped(given: Given, stack: ExpertStack): (() => Float32Array)[] | null {
  if (!fitsSwapped(given, stack)) return null
  const { a, b, experts } = stack
  const [size, out, r] = [a.cols, b.rows / experts, b.cols]
  const [nameA, nameB] = partsOf(stack)
  const [givenA, givenB] = [given.get(nameA)!, given.get(nameB)!]
  given.delete(nameA)
  given.delete(nameB)
  // B as it would lie here: (E · in, r)
  const theirsB = () => fromFile({ ...b, experts: { ...b.experts!, size } }, values(givenB))
  return [() => turned(theirsB(), experts, size, r), () => turned(values(givenA), experts, r, out)]
}

/** E matrices (rows, cols), each transposed */
function turned(x: Float32Array, experts: number, rows: number, cols: number): Float32Array {
  const y = new Float32Array(x.length)
  for (let e = 0, at = 0; e < experts; e++, at += rows * cols)
    for (let i = 0; i < rows; i++) for (let j = 0; j < cols; j++) y[at + j * rows + i] = x[at + i * cols + j]!
  return y
}

/** Of n linears of an expert that lie in one tensor, each with A (r, in) and B (out, r): A below A, B on the diagonal. */
function apart(given: Given, ways: readonly (readonly string[])[], { a, b, experts }: Shapes): (() => Float32Array)[] | null {
  const way = ways.find(
    (pieces) => pieces.length > 0 && pieces.every((piece) => ['lora_A', 'lora_B'].every((part) => given.has(partOf(piece, part)))),
  )
  if (!way) return null
  const n = way.length / experts
  const [{ size, r: ranks, wide }, { size: outs }] = [a.experts!, b.experts!]
  const r = ranks / n
  const rows = outs / n
  const fits = way.every((piece) => {
    const [one, other] = [given.get(partOf(piece, 'lora_A'))!, given.get(partOf(piece, 'lora_B'))!]
    return one.rows === r && one.cols === size && other.rows === rows && other.cols === r
  })
  if (!fits) return null
  const [partsA, partsB] = ['lora_A', 'lora_B'].map((part) => way.map((piece) => given.get(partOf(piece, part))!)) as [
    CheckpointTensor[],
    CheckpointTensor[],
  ]
  for (const piece of way) for (const part of ['lora_A', 'lora_B']) given.delete(partOf(piece, part))
  // (E · ranks, in)
  const below = () => {
    const ours = new Float32Array(experts * ranks * size)
    for (const [i, part] of partsA.entries()) ours.set(values(part), i * r * size)
    return wide ? ours : turned(ours, experts, ranks, size)
  }
  // (E · outs, ranks)
  const diagonal = () => {
    const ours = new Float32Array(experts * outs * ranks)
    for (const [i, tensor] of partsB.entries()) {
      const part = values(tensor)
      for (let o = 0; o < rows; o++) ours.set(part.subarray(o * r, (o + 1) * r), (i * rows + o) * ranks + (i % n) * r)
    }
    return wide ? ours : turned(ours, experts, outs, ranks)
  }
  return [below, diagonal]
}

const partOf = (weight: string, part: string) => weight.replace(/weight$/, `${part}.weight`)
