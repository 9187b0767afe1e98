/** How a file keeps a trained tensor that lies otherwise here: PEFT has lora_B of experts as (out, r · E), the expert running fastest. */
import type { ParameterSpec } from './adapter.ts'

/** Here (E · out, r), in the file (out, r · E): file[o, j · E + e] = here[e · out + o, j]. */
export function toFile({ rows, cols, experts }: ParameterSpec, values: Float32Array): Float32Array {
  if (experts === undefined) return values
  const file = new Float32Array(values.length)
  eachPlace(rows / experts, cols, experts, (here, there) => {
    file[there] = values[here]!
  })
  return file
}

export function fromFile({ rows, cols, experts }: ParameterSpec, file: Float32Array): Float32Array {
  if (experts === undefined) return file
  const values = new Float32Array(file.length)
  eachPlace(rows / experts, cols, experts, (here, there) => {
    values[here] = file[there]!
  })
  return values
}

/** rows × cols as the file has it */
export function fileShape({ rows, cols, experts, shape }: ParameterSpec): readonly number[] {
  return shape ?? (experts === undefined ? [rows, cols] : [rows / experts, cols * experts])
}

function eachPlace(out: number, r: number, experts: number, visit: (here: number, there: number) => void): void {
  for (let e = 0; e < experts; e++)
    for (let o = 0; o < out; o++) for (let j = 0; j < r; j++) visit((e * out + o) * r + j, (o * r + j) * experts + e)
}
