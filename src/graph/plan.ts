/** A plan: a flat, printable list of kernel calls on fixed places. Plain data; devices only run it. */
import type { AttrValue } from '../ops/attrs.ts'
import type { DType } from '../ops/tensor.ts'

export type Space = 'arena' | 'host' | 'store' | 'input'

/** A root tensor: dense rows × cols. `at` is its byte offset in the arena (arena and input spaces) or in the plan's host memory; store tensors are found by name. */
export interface PlanBuffer {
  name: string
  space: Space
  rows: number
  cols: number
  dtype: DType
  bytes: number
  at: number
  /** first and last step that touches it; inputs and results live through the whole plan */
  from: number
  to: number
  /** line of the memory table it belongs to */
  kind: string
  /** of a frozen store tensor: no step reads more than some rows of it */
  sparse: boolean
}

/** A matrix inside a buffer: element (i, j) is at offset + i · stride + j. */
export interface PlanTensor {
  buffer: number
  offset: number
  rows: number
  cols: number
  stride: number
}

export interface PlanStep extends StepCost {
  op: string
  /** checkpoint path of the module */
  name: string
  block: number
  outputs: PlanTensor[]
  inputs: (PlanTensor | null)[]
  /** all that the op declares */
  attrs: Readonly<Record<string, AttrValue>>
  /** it runs beside the steps after it; null: in its turn */
  beside: Beside | null
  /** what the kernel needs beside its tensors, in the arena; bytes */
  scratch: { at: number; bytes: number } | null
}

/** Beside what a step runs that doesn't run in its turn. */
export interface Beside {
  /** a queue of the device's */
  on: 'copies' | 'kernels'
  /** done when this step begins, or its segment ends */
  until: number
}

/** What a step takes, wherever its tensors lie. */
export interface StepCost {
  flops: number
  /** of one visible (query, key) pair; 0 where rows don't matter */
  pairFlops: number
  /** of rows that are parted over groups (`Op.inGroups`)? */
  inGroups: boolean
  bytes: number
  /** recomputed in backward what forward had computed */
  recomputed: boolean
}

/** What a plan's time is predicted from. */
export interface Costs {
  segments: readonly Segment[]
  steps: readonly (StepCost & { beside: Beside | null; scratch: { bytes: number } | null; operand: DType })[]
}

/** A run of steps captured as one: `forward`, `head`, `backward`, `optimizer` … */
export interface Segment {
  name: string
  from: number
  to: number
  /** runs once for each chunk of the pass's head positions, any number of times */
  repeats: boolean
}

export interface Plan {
  /** T */
  tokens: number
  buffers: PlanBuffer[]
  steps: PlanStep[]
  segments: Segment[]
  /** bytes of the arena this plan needs, inputs included */
  arena: number
  /** bytes of host memory that it offloads to */
  host: number
  flops: number
  bytes: number
  /** SHA-256 of everything above */
  readonly hash: string
}
