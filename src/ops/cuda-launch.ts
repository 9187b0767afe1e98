/**
 * How a step becomes launches on an NVIDIA card: what every op folder's cuda.ts is written in. An op answers with a list of kernels and
 * products; devices/cuda finds the addresses, compiles the sources and runs the list, and never asks which op it holds.
 */
import { SaqrError } from '../error.ts'
import { type AttrSpecs, type Attrs, asNumber } from './attrs.ts'
import type { For, Op } from './op.ts'
import type { DType } from './tensor.ts'

/** addresses of the state of an NF4 weight on the card (see QuantSpec); nested: `absmax` is null and the other three are set */
export interface CudaQuant {
  codebook: bigint
  absmax: bigint
  absmax8: bigint
  code2: bigint
  absmax2: bigint
  offset: number
  blocksize: number
  blocksize2: number
}

/** Element (i, j) is at `at` + (i · stride + j) elements. */
export interface CudaTensor {
  at: bigint
  rows: number
  cols: number
  stride: number
  dtype: DType
  quant: CudaQuant | null
}

export interface CudaStep<A extends AttrSpecs = AttrSpecs> {
  name: string
  op: Op<A>
  outputs: CudaTensor[]
  inputs: (CudaTensor | null)[]
  attrs: Attrs<A>
}

/**
 * What Hopper's copies of tiles are told of a matrix (`Map` in hopper.cuh): tiles are `high` rows of 64 columns, zeros beyond the matrix's
 * edges. In shared memory a row is 128 bytes of bf16, swizzled by 128 bytes, or 32 bytes of NF4 codes as they are stored, two a byte, swizzled
 * by 32: halves of a row change places in rows 4 to 7 of every 8. `stack`: the matrix is that many of as many rows, one below the other, each
 * with edges of its own (copyTileOf).
 */
export interface Tiles {
  of: CudaTensor
  high: number
  stack?: number
}

/** A bigint is a pointer, a number an int (32 bits, also unsigned), `{ f32 }` a float, `{ f64 }` a double, `{ tiles }` a Map (null: unused). */
export type KernelArg = bigint | number | { f32: number } | { f64: number } | { tiles: Tiles | null }

/**
 * A kernel's arguments one after the other, as C lays them out; the fields of a struct may stand in its place. With `Map`s, whose alignment the
 * driver has to see to, each is a parameter, an array a struct.
 */
export type KernelArgs = KernelArg[] | { parameters: (KernelArg | KernelArg[])[] }

export interface KernelLaunch {
  kind: 'kernel'
  source: CudaSource
  name: string
  grid: readonly [number, number, number]
  block: number
  /** bytes of dynamic shared memory */
  shared: number
  args: KernelArgs
}

/** y (M, N) = alpha · op(a) · op(b) + c + bias, row-major, accumulated in f32; op transposes where `transA` or `transB` says so */
export interface MatmulLaunch {
  kind: 'matmul'
  a: CudaTensor
  b: CudaTensor
  transA: boolean
  transB: boolean
  alpha: number
  c: CudaTensor | null
  /** (1, N) in y's dtype */
  bias: CudaTensor | null
  y: CudaTensor
}

export interface ZeroLaunch {
  kind: 'zero'
  at: bigint
  rows: number
  /** of a row, and from one row to the next */
  bytes: number
  pitch: number
}

/** rows of `bytes` bytes, `pitch` bytes from one to the next, within the card or between card and pinned host memory */
export interface CopyLaunch {
  kind: 'copy'
  from: bigint
  to: bigint
  rows: number
  bytes: number
  pitch: { from: number; to: number }
}

export type Launch = KernelLaunch | MatmulLaunch | ZeroLaunch | CopyLaunch

/** A file of CUDA C++ in an op folder: a module of its own, compiled when a plan first needs it. */
export interface CudaSource {
  /** under src/ops: 'attention/cuda.cu' */
  name: string
  url: URL
}

/** What a choice of kernel may depend on. */
export interface Card {
  /** compute capability: 80, 90, 120 … */
  arch: number
}

export interface CudaOp<A extends AttrSpecs = AttrSpecs> {
  /** bytes of scratch that its launches use; only theirs while the step runs */
  scratch?(step: CudaStep<A>, card: Card): number
  launch(step: CudaStep<A>, scratch: bigint, card: Card): Launch[]
}

/** says that `run` is how an NVIDIA card does `op` */
export function runs<A extends AttrSpecs>(op: Op<A>, run: CudaOp<A>): For<CudaOp> {
  return { op, run } as For<CudaOp>
}

/** The op's attributes as the struct of its name that kernels take (attrsHeader): reals are floats, everything else ints. */
export function attrsOf<A extends AttrSpecs>({ op, attrs }: CudaStep<A>): KernelArg[] {
  return Object.entries(op.attrs).map(([name, { kind }]) => (kind === 'real' ? f32(asNumber(attrs[name]!)) : asNumber(attrs[name]!)))
}

/** an NF4 weight's quantisation as the struct Quant of nf4.cuh; null: unused */
export function quantArgs(q: CudaQuant | null): KernelArg[] {
  if (!q) return [0n, 0n, 0n, 0n, 0n, f32(0), 0, 0, 0]
  return [q.codebook, q.absmax, q.absmax8, q.code2, q.absmax2, f32(q.offset), q.blocksize, q.blocksize2, 0]
}

const STRUCT_TYPES = { real: 'float', whole: 'int', word: 'unsigned', flag: 'int', dtype: 'int' } as const

/** attrs.cuh, which any source may include: a struct for each op that has attributes, in the order of `attrsOf` */
export function attrsHeader(ops: readonly Op[]): string {
  const structs = ops.map(({ name, attrs }) => {
    const fields = Object.entries(attrs).map(([field, { kind }]) => `  ${STRUCT_TYPES[kind]} ${field};\n`)
    return fields.length ? `struct ${name}_attrs {\n${fields.join('')}};\n` : ''
  })
  return `#pragma once\n${structs.join('')}`
}

/** `source(import.meta.url)` in a cuda.ts: the cuda.cu of its folder, which stays in src/ops also when the module runs from dist/ops */
export function source(module: string, file = 'cuda.cu'): CudaSource {
  const name = `${new URL('.', module).pathname.split('/').at(-2)!}/${file}`
  return { name, url: new URL(`../../../src/ops/${name}`, module) }
}

export function kernel(from: CudaSource, name: string, grid: readonly number[], block: number, args: KernelArgs, shared = 0): KernelLaunch {
  return { kind: 'kernel', source: from, name, grid: [grid[0]!, grid[1] ?? 1, grid[2] ?? 1], block, shared, args }
}

/** whether tiles of it can be copied: bf16, rows that begin at multiples of 16 bytes */
export const hasTiles = ({ dtype, at, stride }: CudaTensor) => dtype === 'bf16' && at % 16n === 0n && stride % 8 === 0
export const tiles = (of: CudaTensor | null, high: number, stack?: number): KernelArg => ({ tiles: of && { of, high, stack } })

export const f32 = (value: number): KernelArg => ({ f32: value })
export const f64 = (value: number): KernelArg => ({ f64: value })

export const ceilDiv = (a: number, b: number) => Math.ceil(a / b)

export const bytesOf = (dtype: DType): number => (dtype === 'f32' || dtype === 'i32' ? 4 : dtype === 'u8' || dtype === 'nf4' ? 1 : 2)

/** elements that 16 bytes hold */
const WIDE = { f32: 4, bf16: 8 }

/** the type of a kernel's main tensors: 'f32' or 'bf16'; anything else is refused by name */
export function typeOf(step: CudaStep, ...tensors: (CudaTensor | null)[]): 'f32' | 'bf16' {
  const types = new Set(tensors.filter((t) => t !== null).map((t) => t.dtype))
  const [type] = types
  if (types.size === 1 && (type === 'f32' || type === 'bf16')) return type
  throw new SaqrError(
    'DEVICE_DTYPE',
    `${step.name}: the CUDA kernel takes f32 or bf16 tensors of one type, not ${[...types].join(' with ')}.`,
  )
}

/** How many elements a thread may move at once: what 16 bytes hold where every row of every tensor starts at a multiple of it, else 1. */
export function vectorWidth(tensors: readonly (CudaTensor | null)[], cols = tensors[0]!.cols): number {
  const aligned = (t: CudaTensor | null) => {
    if (!t) return true
    const wide = WIDE[t.dtype as 'f32' | 'bf16']
    return t.at % 16n === 0n && t.stride % wide === 0 && cols % wide === 0
  }
  return tensors.every(aligned) ? WIDE[tensors[0]!.dtype as 'f32' | 'bf16'] : 1
}

/** the suffix of an instantiation: f32, f32x4, bf16, bf16x8 */
export function instance(type: 'f32' | 'bf16', width: number): string {
  return width === 1 ? type : `${type}x${width}`
}

/** Launch of an element-wise kernel over rows × cols; its arguments begin with rows, cols and a (pointer, stride) for each tensor. */
export function elementwise(from: CudaSource, step: CudaStep, name: string, tensors: CudaTensor[], args: KernelArg[] = []): KernelLaunch {
  const { rows, cols } = tensors[0]!
  const width = vectorWidth(tensors)
  const grid = [rows, Math.min(ceilDiv(cols, 256 * width), 65535)]
  const type = typeOf(step, ...tensors)
  return kernel(from, `${name}_${instance(type, width)}`, grid, 256, [rows, cols, ...tensors.flatMap((t) => [t.at, t.stride]), ...args])
}

const STORED: readonly DType[] = ['bf16', 'f32', 'f16']

/** number of the type a weight is stored in, for kernels that read any of them (loadStored in cuda.cuh) */
export function storedType(step: CudaStep, t: CudaTensor): number {
  const type = STORED.indexOf(t.dtype)
  if (type < 0) throw new SaqrError('DEVICE_DTYPE', `${step.name}: the CUDA kernel takes weights in ${STORED.join(', ')}, not ${t.dtype}.`)
  return type
}
