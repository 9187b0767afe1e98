/** Tensor types of GGUF: how many weights a block holds and in how many bytes. Ids and names are ggml's. */

export interface GgmlType {
  name: string
  /** weights a block */
  block: number
  /** bytes a block */
  bytes: number
  id: number
}

export const ggmlTypes: ReadonlyMap<number, GgmlType> = new Map(
  (
    [
      [0, 'F32', 1, 4], [1, 'F16', 1, 2], [30, 'BF16', 1, 2],
      [2, 'Q4_0', 32, 18], [3, 'Q4_1', 32, 20], [6, 'Q5_0', 32, 22], [7, 'Q5_1', 32, 24], [8, 'Q8_0', 32, 34],
      [39, 'MXFP4', 32, 17], [12, 'Q4_K', 256, 144], [13, 'Q5_K', 256, 176], [14, 'Q6_K', 256, 210],
    ] as const
  ).map(([id, name, block, bytes]) => [id, { name, block, bytes, id }]),
) // biome-ignore format: a table

/** @param name one of the above */
export const ggmlType = (name: string): GgmlType => [...ggmlTypes.values()].find((type) => type.name === name)!

/** Names of the types that are refused, for the message. */
export const otherTypes: Readonly<Record<number, string>> = {
  9: 'Q8_1', 10: 'Q2_K', 11: 'Q3_K', 15: 'Q8_K', 16: 'IQ2_XXS', 17: 'IQ2_XS', 18: 'IQ3_XXS', 19: 'IQ1_S', 20: 'IQ4_NL', 21: 'IQ3_S', 22: 'IQ2_S',
  23: 'IQ4_XS', 24: 'I8', 25: 'I16', 26: 'I32', 27: 'I64', 28: 'F64', 29: 'IQ1_M', 34: 'TQ1_0', 35: 'TQ2_0', 40: 'NVFP4',
} // biome-ignore format: a table
