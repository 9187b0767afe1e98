/**
 * Small weights (an adapter's matrices, f32 in the store) in the type that steps read them in: copies at the beginning of scratch, made anew by
 * one launch whenever a segment runs. Nobody need know when the weights change.
 */
import type { Plan, PlanTensor } from '../../graph/plan.ts'
import { castAll, copyOf, materialisedBytes } from '../../ops/cast/cuda.ts'
import type { CudaStep, CudaTensor, KernelLaunch } from '../../ops/cuda-launch.ts'

const DTYPE = 'bf16'

interface Copy {
  /** where it lies in scratch */
  at: number
  /** a step and its input that it is a copy of */
  of: { step: number; input: number }
  usedBy: number[]
}

export class Copies {
  readonly bytes: number
  readonly #list: Copy[]
  /** by step and input */
  readonly #replaced = new Map<string, Copy>()

  /** `wanted`: of each step, the inputs it would rather read as copies */
  constructor(plan: Plan, steps: readonly CudaStep[], wanted: readonly (readonly number[])[]) {
    const written = new Set(plan.steps.flatMap((step) => step.outputs.map((t) => t.buffer)))
    const copies = new Map<string, Copy>()
    let bytes = 0
    wanted.forEach((inputs, step) => {
      for (const input of inputs) {
        const tensor = plan.steps[step]!.inputs[input]!
        if (plan.buffers[tensor.buffer]!.space !== 'store' || written.has(tensor.buffer)) continue
        const key = keyOf(tensor)
        let copy = copies.get(key)
        if (!copy) {
          copies.set(key, (copy = { at: bytes, of: { step, input }, usedBy: [] }))
          bytes += materialisedBytes(steps[step]!.inputs[input]!, DTYPE)
        }
        copy.usedBy.push(step)
        this.#replaced.set(`${step},${input}`, copy)
      }
    })
    this.#list = [...copies.values()]
    this.bytes = bytes
  }

  /** the steps with copies in place of what they are copies of */
  in(steps: readonly CudaStep[], scratch: bigint): CudaStep[] {
    const replace = (step: number, t: CudaTensor | null, input: number) => {
      const copy = this.#replaced.get(`${step},${input}`)
      return copy ? copyOf(t!, DTYPE, scratch + BigInt(copy.at)) : t
    }
    return steps.map((step, i) => ({ ...step, inputs: step.inputs.map((t, input) => replace(i, t, input)) }))
  }

  /** what makes the copies that steps [from, to) read */
  launches(from: number, to: number, steps: readonly CudaStep[], scratch: bigint): KernelLaunch[] {
    const used = this.#list.filter(({ usedBy }) => usedBy.some((step) => step >= from && step < to))
    return castAll(
      used.map(({ at, of }) => {
        const x = steps[of.step]!.inputs[of.input]!
        return { x, y: copyOf(x, DTYPE, scratch + BigInt(at)) }
      }),
    )
  }
}

const keyOf = ({ buffer, offset, rows, cols, stride }: PlanTensor) => [buffer, offset, rows, cols, stride].join(',')
