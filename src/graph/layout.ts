/**
 * Where every trained tensor lies in the flat f32 ranges of parameters, gradients and optimiser state. Tensors that are treated alike
 * (decayed or not, large enough for 8-bit state or not, of one lane) lie together; each starts on a block of 256, so no 8-bit block spans two of them.
 */
import type { ParameterSpec } from '../adapters/adapter.ts'
import type { Layout } from './trace.ts'

export const BLOCK = 256
/** bitsandbytes keeps the state of smaller tensors in f32 */
const SMALLEST_8BIT = 4096

export interface Range {
  from: number
  to: number
  /** weight decay applies: not to biases and norms, as Hugging Face's Trainer has it */
  decay: boolean
  /** of tensors of 4,096 elements or more: what bitsandbytes keeps 8-bit state for */
  large: boolean
}

export interface ParameterLayout extends Layout {
  ranges: Range[]
}

/** of a model of which nothing is trained */
export const NOTHING: ParameterLayout = { scope: '', size: 0, entries: new Map(), ranges: [] }

export function layoutParameters(specs: Iterable<ParameterSpec>, scope = ''): ParameterLayout {
  const groups = new Map<string, ParameterSpec[]>()
  for (const spec of specs) {
    const key = JSON.stringify([spec.role !== 'bias' && spec.role !== 'norm', spec.rows * spec.cols >= SMALLEST_8BIT, spec.lane])
    const list = groups.get(key)
    if (list) list.push(spec)
    else groups.set(key, [spec])
  }
  const entries = new Map<string, { offset: number; spec: ParameterSpec }>()
  const ranges: Range[] = []
  let at = 0
  for (const [key, list] of groups) {
    const from = at
    for (const spec of list) {
      entries.set(spec.name, { offset: at, spec })
      at += Math.ceil((spec.rows * spec.cols) / BLOCK) * BLOCK
    }
    const [decay, large] = JSON.parse(key) as [boolean, boolean]
    ranges.push({ from, to: at, decay, large })
  }
  return { scope, size: at, entries, ranges }
}
