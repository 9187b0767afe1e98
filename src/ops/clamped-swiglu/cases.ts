/** The clamped SwiGLU and its backward: odd sizes, columns of something wider, most values beyond a limit, a saturated sigmoid. */
import type { CaseInput, OpCase } from '../op.ts'
import { clampedSwigluBackwardOp, clampedSwigluOp } from './op.ts'

interface Setup {
  rows: number
  cols: number
  alpha?: number
  limit?: number
  /** of gate and up */
  scale?: number
  values?: readonly number[]
  within?: { cols: number; from: number }
  bench?: boolean
}

function both(name: string, { rows, cols, alpha = 1.702, limit = 7, scale, values, within, bench }: Setup): OpCase[] {
  const pairs: CaseInput = { rows, cols: 2 * cols, dtype: 'act', scale, ...(values ? { values } : {}), ...(within ? { within } : {}) }
  const dH: CaseInput = { rows, cols, dtype: 'act' }
  const attrs = { alpha, limit }
  // f32: exp to 2e-7 and 6e-8 · alpha · |gate| (below 12, but for saturated ones), then seven roundings; u + 1 loses digits near −1, where h is
  // small beside the rest. bf16: 2⁻⁸
  const tolerance = { f32: 1.2e-6, bf16: 4e-3 }
  return [
    { name, op: clampedSwigluOp, attrs, inputs: [pairs], tolerance, bench },
    { name, op: clampedSwigluBackwardOp, attrs, inputs: [dH, pairs], tolerance, bench },
  ]
}

// none at a limit: finite differences would see a corner
const beyond = Array.from({ length: 3 * 2 * 23 }, (_, i) => [1.5, -0.25, 0.5, 2, -3, -1.75, 0.25, 0.75][(i * 5) % 8]!)

export const cases: readonly OpCase[] = [
  ...both('one value', { rows: 1, cols: 1 }),
  ...both('odd sizes', { rows: 5, cols: 147, limit: 1.25 }),
  ...both('columns of something wider', { rows: 4, cols: 50, within: { cols: 131, from: 13 } }),
  ...both('most of it beyond a limit', { rows: 3, cols: 23, limit: 1, alpha: 0.7, values: beyond }),
  ...both('saturated', { rows: 3, cols: 64, scale: 60, limit: 200 }),
  ...both('gpt-oss, 1,024 rows', { rows: 1024, cols: 2880, bench: true }),
]
