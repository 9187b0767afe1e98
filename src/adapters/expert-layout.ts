/**
 * Low-rank parts of experts: as they lie here, beside the weights, and as PEFT keeps them: lora_A as (E · r, in), one expert's ranks behind
 * another's, lora_B as (out, r · E), the expert running fastest.
 */
import type { ExpertPart, ParameterSpec } from './adapter.ts'

/** here */
export function partShape({ experts, size, r, wide }: ExpertPart): { rows: number; cols: number } {
  return wide ? { rows: experts * r, cols: size } : { rows: experts * size, cols: r }
}

/** does the file have it in another order? */
export const liesOtherwise = ({ experts }: ParameterSpec): boolean => experts !== undefined && !(experts.of === 'A' && experts.wide)

export function toFile(spec: ParameterSpec, values: Float32Array): Float32Array {
  if (!liesOtherwise(spec)) return values
  const file = new Float32Array(values.length)
  eachPlace(spec.experts!, (here, there) => {
    file[there] = values[here]!
  })
  return file
}

export function fromFile(spec: ParameterSpec, file: Float32Array): Float32Array {
  if (!liesOtherwise(spec)) return file
  const values = new Float32Array(file.length)
  eachPlace(spec.experts!, (here, there) => {
    values[here] = file[there]!
  })
  return values
}

/** norm weights, biases and sinks are vectors in files, but for biases of many experts */
export const isVector = ({ role, rows }: ParameterSpec): boolean => rows === 1 && (role === 'norm' || role === 'bias' || role === 'sinks')

/** as the file has it: rows × cols, or the length of a vector */
export function fileShape(spec: ParameterSpec): readonly number[] {
  const { rows, cols, experts, shape } = spec
  if (isVector(spec)) return [cols]
  if (shape) return shape
  if (!experts) return [rows, cols]
  const ranks = experts.experts * experts.r
  return experts.of === 'A' ? [ranks, experts.size] : [experts.size, ranks]
}

function eachPlace({ of, experts, size, r, wide }: ExpertPart, visit: (here: number, there: number) => void): void {
  for (let e = 0; e < experts; e++)
    for (let i = 0; i < size; i++)
      for (let j = 0; j < r; j++)
        visit(wide ? (e * r + j) * size + i : (e * size + i) * r + j, of === 'A' ? (e * r + j) * size + i : (i * r + j) * experts + e)
}
