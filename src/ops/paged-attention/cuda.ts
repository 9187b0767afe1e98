import { attrsOf, kernel, runs, source, typeOf } from '../cuda-launch.ts'
import { pagedAttentionOp } from './op.ts'

const from = source(import.meta.url)

export const cuda = [
  runs(pagedAttentionOp, {
    launch(step) {
      const [q, k, v, position, pages, sinks] = step.inputs
      const [o, lse] = step.outputs
      const type = typeOf(step, q!, k!, v!, o!)
      const inBf16 = sinks && typeOf(step, sinks) === 'bf16' ? 1 : 0
      // struct Paged of cuda.cu
      const pointers = [q!.at, k!.at, v!.at, o!.at, lse!.at, position!.at, pages!.at, sinks?.at ?? 0n]
      const strides = [q!, k!, v!, o!, lse!, position!, pages!].map(({ stride }) => stride)
      const args = [...pointers, ...strides, inBf16, ...attrsOf(step)]
      return [kernel(from, `paged_attention_${type}`, [q!.rows, step.attrs.heads], 128, args)]
    },
  }),
]
