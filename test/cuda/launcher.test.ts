/** How a launch is laid out in memory for the driver, which is played here. */
import { expect, test } from 'vitest'
import type { Card } from '../../src/devices/cuda/card.ts'
import type { Kernels } from '../../src/devices/cuda/kernels.ts'
import { Launcher } from '../../src/devices/cuda/launcher.ts'
import type { Matmuls } from '../../src/devices/cuda/matmul.ts'
import { f32, f64, type KernelArgs, kernel, source, tiles } from '../../src/ops/cuda-launch.ts'

const BASE = 0x10000n
const from = source(new URL('../../src/ops/product/cuda.ts', import.meta.url).href)

function launched(args: KernelArgs): { view: DataView; params: bigint; extra: bigint; maps: unknown[][] } {
  const bytes = new Uint8Array(8192)
  const maps: unknown[][] = []
  let last: unknown[] = []
  const call = (name: string, ...rest: unknown[]) => {
    if (name === 'encodeTiles') maps.push(rest)
    if (name === 'launch') last = rest
  }
  const card = { pin: (size: number) => ({ address: BASE, bytes: bytes.subarray(0, size) }), driver: { call }, stream: 5n }
  const launcher = new Launcher(card as unknown as Card, { get: () => 7n } as unknown as Kernels, {} as Matmuls)
  launcher.launch(kernel(from, 'k', [3, 2], 128, args, 64))
  expect(last.slice(0, 9)).toEqual([7n, 3, 2, 1, 128, 1, 1, 64, 5n])
  return { view: new DataView(bytes.buffer), params: last[9] as bigint, extra: last[10] as bigint, maps }
}

test('arguments stand one after the other, each at a multiple of its size', () => {
  const { view, params, extra } = launched([1, 2n, -3, f32(0.5), f64(0.25)])
  expect(params).toBe(0n)
  const list = Array.from({ length: 5 }, (_, i) => view.getBigUint64(Number(extra - BASE) + 8 * i, true))
  const [at, size] = [Number(list[1]! - BASE), Number(view.getBigUint64(Number(list[3]! - BASE), true))]
  expect([list[0], list[2], list[4], size]).toEqual([1n, 2n, 0n, 32])
  expect([view.getInt32(at, true), view.getBigUint64(at + 8, true), view.getInt32(at + 16, true)]).toEqual([1, 2n, -3])
  expect([view.getFloat32(at + 20, true), view.getFloat64(at + 24, true)]).toEqual([0.5, 0.25])
})

test('with maps each parameter is named by its address; maps lie at multiples of 64, structs as C has them', () => {
  const matrix = { at: 0xabc0n, rows: 300, cols: 40, stride: 48, dtype: 'bf16', quant: null } as const
  const { view, params, extra, maps } = launched({
    parameters: [[tiles(matrix, 128), tiles(null, 64), tiles(matrix, 64)], [7, 8n], f32(2)],
  })
  expect(extra).toBe(0n)
  const at = [0, 1, 2].map((i) => view.getBigUint64(Number(params - BASE) + 8 * i, true))
  const n = at.map((a) => Number(a - BASE))
  expect(at[0]! % 64n).toBe(0n)
  expect([view.getInt32(n[1]!, true), view.getBigUint64(n[1]! + 8, true), view.getFloat32(n[2]!, true)]).toEqual([7, 8n, 2])
  expect(maps.map((m) => m[0])).toEqual([at[0]!, at[0]! + 256n])
  // rows of 96 bytes, boxes of 64 columns
  expect(maps[0]!.slice(1)).toEqual([9, 2, 0xabc0n, BigUint64Array.of(40n, 300n), BigUint64Array.of(96n), Uint32Array.of(64, 128), Uint32Array.of(1, 1), 0, 3, 2, 0]) // biome-ignore format: short
  // parameters don't overlap
  expect(n[1]! >= n[0]! + 3 * 128 && n[2]! >= n[1]! + 16).toBe(true)
})

test('maps of NF4 codes: bytes of two columns, a stack of matrices', () => {
  const codes = { at: 0xabc0n, rows: 300, cols: 192, stride: 192, dtype: 'nf4', quant: null } as const
  const { maps } = launched({ parameters: [[tiles(codes, 64, 3)]] })
  expect(maps[0]!.slice(1)).toEqual([0, 3, 0xabc0n, BigUint64Array.of(96n, 100n, 3n), BigUint64Array.of(96n, 9600n), Uint32Array.of(32, 64, 1), Uint32Array.of(1, 1, 1), 0, 1, 2, 0]) // biome-ignore format: short
})
