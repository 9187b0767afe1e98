/**
 * Low-rank parts of one module as one: PEFT's add_weighted_adapter, of its ways those whose result is a function of the adapters alone.
 *   cat              ΔW = Σ wᵢ·sᵢ·Bᵢ·Aᵢ exactly: A's below one another, B's side by side; the rank is the sum of theirs
 *   svd              the nearest to that of a rank given (Eckart, Young 1936); for ranks that hold it, the same
 *   linear           A = Σ ±√|wᵢsᵢ|·Aᵢ, B = Σ √|wᵢsᵢ|·Bᵢ: cheap, and no weighted sum of what they do (products of different adapters come in)
 *   magnitude_prune  linear, of each A and B only the largest values (a share, `density`)
 *   ties             those, and of each value only the adapters that agree with the majority's sign, their mean (Yadav et al. 2023)
 */
import { lowRankSvd } from './low-rank-svd.ts'

export type Combination = 'cat' | 'linear' | 'svd' | 'ties' | 'magnitude_prune'
export type MajoritySign = 'total' | 'frequency'

export interface Combining {
  how: Combination
  /** share of values that pruning keeps, from 0 to 1 */
  density: number
  /** is a sign's majority that of the sum of values, or of their number? */
  majoritySign: MajoritySign
}

/** One adapter's part of a module. */
export interface LowRankPart {
  /** [rank, cols], row by row */
  a: Float32Array
  /** [rows, rank], row by row */
  b: Float32Array
  rank: number
  /** weight times the module's scale */
  scaled: number
}

/** @returns A [rank, cols] and B [rows, rank] of scale 1; what the parts don't fill is 0 */
export function combine(
  parts: readonly LowRankPart[],
  [rows, rank, cols]: readonly [rows: number, rank: number, cols: number],
  by: Combining,
): { a: Float32Array; b: Float32Array } {
  const { how } = by
  if (parts.length === 0) return { a: new Float32Array(rank * cols), b: new Float32Array(rows * rank) }
  if (how === 'cat' || how === 'svd') {
    const inner = parts.reduce((sum, part) => sum + part.rank, 0)
    const whole = sideBySide(parts, [rows, inner, cols])
    const { a, b } = how === 'svd' ? lowRankSvd(whole, [rows, inner, cols], rank) : whole
    return how === 'svd' ? { a, b } : { a: wider(a, inner, cols, rank, cols), b: wider(b, rows, inner, rows, rank) }
  }
  const root = ({ scaled }: LowRankPart) => Math.fround(Math.sqrt(Math.abs(scaled)))
  // a share of what the module has, not of the room that other modules' ranks need
  const kept = (values: Float32Array) => (how === 'linear' ? values : largest(values, by.density))
  const ofA = parts.map((part) => ({
    values: wider(kept(part.a), part.rank, cols, rank, cols),
    weight: root(part) * (part.scaled >= 0 ? 1 : -1),
  }))
  const ofB = parts.map((part) => ({ values: wider(kept(part.b), rows, part.rank, rows, rank), weight: root(part) }))
  return { a: sum(ofA, by), b: sum(ofB, by) }
}

function sideBySide(parts: readonly LowRankPart[], [rows, inner, cols]: readonly [number, number, number]) {
  const [a, b] = [new Float32Array(inner * cols), new Float32Array(rows * inner)]
  let at = 0
  for (const part of parts) {
    for (let i = 0; i < part.rank * cols; i++) a[at * cols + i] = part.scaled * part.a[i]!
    for (let row = 0; row < rows; row++) for (let k = 0; k < part.rank; k++) b[row * inner + at + k] = part.b[row * part.rank + k]!
    at += part.rank
  }
  return { a, b }
}

/** the same matrix in the corner of a larger one */
function wider(values: Float32Array, rows: number, cols: number, toRows: number, toCols: number): Float32Array {
  if (rows === toRows && cols === toCols) return values
  const out = new Float32Array(toRows * toCols)
  for (let row = 0; row < rows; row++) out.set(values.subarray(row * cols, (row + 1) * cols), row * toCols)
  return out
}

interface Task {
  values: Float32Array
  weight: number
}

/** In f32 in PEFT's order: a sum that is nearly nothing decides a sign. */
function sum(tasks: readonly Task[], { how, majoritySign }: Combining): Float32Array {
  const f = Math.fround
  const out = new Float32Array(tasks[0]!.values.length)
  for (let i = 0; i < out.length; i++) {
    let [all, agreeing] = [0, 0]
    const majority = how === 'ties' ? signOfMost(tasks, i, majoritySign) : 0
    for (const { values, weight } of tasks) {
      if (how === 'ties' && Math.sign(values[i]!) !== majority) continue
      all = f(all + f(values[i]! * weight))
      agreeing++
    }
    out[i] = how === 'ties' ? all / Math.max(agreeing, 1) : all
  }
  return out
}

function signOfMost(tasks: readonly Task[], i: number, by: MajoritySign): 1 | -1 {
  let total = 0
  for (const { values } of tasks) total = Math.fround(total + (by === 'total' ? values[i]! : Math.sign(values[i]!)))
  return total >= 0 ? 1 : -1
}

/** The largest values of a share, the others 0; of values as large as the smallest of them, the first. */
function largest(values: Float32Array, density: number): Float32Array {
  if (density >= 1) return values
  const keep = Math.trunc(density * values.length)
  const out = new Float32Array(values.length)
  if (keep === 0) return out
  const sorted = values.map(Math.abs).sort()
  const least = sorted[values.length - keep]!
  let equal = 0
  for (let i = values.length - keep; i < values.length && sorted[i] === least; i++) equal++
  for (const [i, x] of values.entries()) {
    const size = Math.abs(x)
    if (size > least || (size === least && equal-- > 0)) out[i] = x
  }
  return out
}
