/** Attention as its definition reads: every query against every key, in f64. */
import { plusDots, plusScaled } from '../dot.ts'
import { type Attrs, defines, type Matrix, type Reference } from '../op.ts'
import { attentionBackwardOp, attentionOp, sinkGradOp } from './op.ts'

interface Mask {
  visibleFrom: Matrix
  visibleUntil: Matrix
  depth: Matrix
  window: number
}

function sees(m: Mask, i: number, j: number): boolean {
  if (i < m.visibleFrom.data[j]! || i >= m.visibleUntil.data[j]!) return false
  return m.window === 0 || m.depth.data[i]! - m.depth.data[j]! < m.window
}

type AttentionAttrs = Attrs<typeof attentionOp.attrs>

function maskOf([visibleFrom, visibleUntil, depth]: readonly (Matrix | null)[], { window }: AttentionAttrs): Mask {
  return { visibleFrom: visibleFrom!, visibleUntil: visibleUntil!, depth: depth!, window }
}

/** where head `head` of row `row` begins */
const at = (x: Matrix, row: number, head: number, headDim: number) => row * x.cols + head * headDim

function dot(a: Matrix, aAt: number, b: Matrix, bAt: number, n: number): number {
  let sum = 0
  for (let c = 0; c < n; c++) sum += a.data[aAt + c]! * b.data[bAt + c]!
  return sum
}

function addScaled(to: Matrix, toAt: number, factor: number, x: Matrix, xAt: number, n: number): void {
  for (let c = 0; c < n; c++) to.data[toAt + c]! += factor * x.data[xAt + c]!
}

/** what the softmax sees of q·k */
function scoreOf(product: number, { scale, softCap }: AttentionAttrs): number {
  return softCap ? softCap * Math.tanh((scale * product) / softCap) : scale * product
}

const attention: Reference<typeof attentionOp.attrs> = ([q, k, v, ...rest], [o, lse], attrs) => {
  const { heads, kvHeads, headDim, valueDim } = attrs
  const mask = maskOf(rest, attrs)
  const sinks = rest[3]
  o!.data.fill(0)
  for (let i = 0; i < q!.rows; i++) {
    const keys: number[] = []
    for (let j = 0; j < k!.rows; j++) if (sees(mask, i, j)) keys.push(j)
    for (let h = 0; h < heads; h++) {
      const g = Math.floor(h / (heads / kvHeads))
      const products = new Float64Array(keys.length)
      plusDots(products, q!.data, at(q!, i, h, headDim), k!.data, keys.map((j) => at(k!, j, g, headDim)), headDim) // biome-ignore format: short
      const scores = products.map((product) => scoreOf(product, attrs))
      const all = sinks ? Float64Array.of(...scores, sinks.data[h]!) : scores
      const top = all.reduce((a, b) => Math.max(a, b), -Infinity)
      const total = all.reduce((sum, s) => sum + Math.exp(s - top), 0)
      // a query that sees nothing: o = 0, lse = −∞
      lse!.data[i * heads + h] = all.length ? top + Math.log(total) : -Infinity
      const p = scores.map((score) => Math.exp(score - top) / total)
      plusScaled(o!.data, at(o!, i, h, valueDim), p, 0, v!.data, keys.map((j) => at(v!, j, g, valueDim)), valueDim) // biome-ignore format: short
    }
  }
}

const attentionBackward: Reference<typeof attentionBackwardOp.attrs> = ([dO, o, lse, q, k, v, ...rest], [dQ, dK, dV], attrs) => {
  const { heads, kvHeads, headDim, valueDim, scale, softCap } = attrs
  const mask = maskOf(rest, attrs)
  for (const d of [dQ!, dK!, dV!]) d.data.fill(0)
  for (let i = 0; i < q!.rows; i++) {
    const keys: number[] = []
    for (let j = 0; j < k!.rows; j++) if (sees(mask, i, j)) keys.push(j)
    for (let h = 0; h < heads; h++) {
      const g = Math.floor(h / (heads / kvHeads))
      const [qAt, oAt] = [at(q!, i, h, headDim), at(dO!, i, h, valueDim)]
      const kAt = keys.map((j) => at(k!, j, g, headDim))
      const vAt = keys.map((j) => at(v!, j, g, valueDim))
      const [products, dP] = [new Float64Array(keys.length), new Float64Array(keys.length)]
      plusDots(products, q!.data, qAt, k!.data, kAt, headDim)
      plusDots(dP, dO!.data, oAt, v!.data, vAt, valueDim)
      const delta = dot(dO!, oAt, o!, oAt, valueDim)
      const scores = products.map((product) => scoreOf(product, attrs))
      const p = scores.map((score) => Math.exp(score - lse!.data[i * heads + h]!))
      const dS = p.map((x, n) => x * (dP[n]! - delta) * scale * (softCap ? 1 - (scores[n]! / softCap) ** 2 : 1))
      plusScaled(dQ!.data, qAt, dS, 0, k!.data, kAt, headDim)
      keys.forEach((_, n) => {
        addScaled(dK!, kAt[n]!, dS[n]!, q!, qAt, headDim)
        addScaled(dV!, vAt[n]!, p[n]!, dO!, oAt, valueDim)
      })
    }
  }
}

const sinkGrad: Reference<typeof sinkGradOp.attrs> = ([dO, o, lse, sinks], [dSinks], { valueDim }) => {
  const heads = sinks!.cols
  for (let i = 0; i < dO!.rows; i++) {
    for (let h = 0; h < heads; h++) {
      const p = Math.exp(sinks!.data[h]! - lse!.data[i * heads + h]!)
      dSinks!.data[h]! -= p * dot(dO!, at(dO!, i, h, valueDim), o!, at(o!, i, h, valueDim), valueDim)
    }
  }
}

export const references = [defines(attentionOp, attention), defines(attentionBackwardOp, attentionBackward), defines(sinkGradOp, sinkGrad)]
