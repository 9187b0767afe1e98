/** Puts launches on the card's stream, eagerly or while it is being captured. */
import type { CopyLaunch, KernelArg, KernelArgs, KernelLaunch, Launch, Tiles } from '../../ops/cuda-launch.ts'
import type { Card, Pinned } from './card.ts'
import type { Kernels } from './kernels.ts'
import type { Matmuls } from './matmul.ts'

/** layout of the block of native memory that describes a launch to the driver: its `extra` list, the size, where parameters are, the arguments */
const SIZE_AT = 64
const PARAMETERS_AT = 128
const ARGS_AT = 256
const BLOCK = 4096
/** CU_LAUNCH_PARAM_BUFFER_POINTER, CU_LAUNCH_PARAM_BUFFER_SIZE */
const BUFFER = 1n
const BUFFER_SIZE = 2n
/** sizeof(CUtensorMap), also where it may lie */
const MAP = { bytes: 128, align: 64 }
/** CU_TENSOR_MAP_: INTERLEAVE_NONE, L2_PROMOTION_L2_128B, FLOAT_OOB_FILL_NONE (zeros) */
const TILES = { plain: 0, promotion: 2, zeros: 0 }
/** elements of a map, how many of them 64 columns are, bytes of one; DATA_TYPE_BFLOAT16 with SWIZZLE_128B, two codes as a DATA_TYPE_UINT8 with SWIZZLE_32B */
const ELEMENTS = { bf16: { type: 9, wide: 64, bytes: 2, swizzle: 3 }, nf4: { type: 0, wide: 32, bytes: 1, swizzle: 1 } }

export class Launcher {
  readonly #card: Card
  readonly #kernels: Kernels
  readonly #matmuls: Matmuls
  readonly #memory: Pinned
  readonly #view: DataView

  constructor(card: Card, kernels: Kernels, matmuls: Matmuls) {
    this.#card = card
    this.#kernels = kernels
    this.#matmuls = matmuls
    this.#memory = card.pin(BLOCK)
    const { buffer, byteOffset } = this.#memory.bytes
    this.#view = new DataView(buffer, byteOffset, BLOCK)
    const { address } = this.#memory
    ;[BUFFER, address + BigInt(ARGS_AT), BUFFER_SIZE, address + BigInt(SIZE_AT), 0n].forEach((word, i) => {
      this.#view.setBigUint64(8 * i, word, true)
    })
  }

  /** `beside`: a queue beside the card's stream */
  launch(what: Launch, beside?: bigint): void {
    const stream = beside ?? this.#card.stream
    if (what.kind === 'kernel') this.#kernel(what, stream)
    else if (what.kind === 'matmul') this.#matmuls.run(what, beside)
    else if (what.kind === 'copy') this.#copy(what, stream)
    else this.#card.zeroRows(what.at, what.rows, what.bytes, what.pitch, stream)
  }

  #copy({ from, to, rows, bytes, pitch }: CopyLaunch, stream: bigint): void {
    const { driver } = this.#card
    const dense = rows === 1 || (pitch.from === bytes && pitch.to === bytes)
    if (dense) driver.call('copy', to, from, rows * bytes, stream)
    else for (let i = 0; i < rows; i++) driver.call('copy', to + BigInt(i * pitch.to), from + BigInt(i * pitch.from), bytes, stream)
  }

  #kernel({ source, name, grid, block, shared, args }: KernelLaunch, stream: bigint): void {
    const f = this.#kernels.get(source, name, shared)
    const { driver } = this.#card
    const { address } = this.#memory
    const [params, extra] = this.#place(args) === 'apart' ? [address + BigInt(PARAMETERS_AT), 0n] : [0n, address]
    driver.call('launch', f, grid[0], grid[1], grid[2], block, 1, 1, shared, stream, params, extra)
  }

  /** Writes the arguments: one after the other, or apart, each named by its address. */
  #place(args: KernelArgs): 'together' | 'apart' {
    if (Array.isArray(args)) {
      this.#view.setBigUint64(SIZE_AT, BigInt(this.#write(args, ARGS_AT) - ARGS_AT), true)
      return 'together'
    }
    let at = ARGS_AT
    args.parameters.forEach((arg, i) => {
      at = (at + MAP.align - 1) & -MAP.align
      this.#view.setBigUint64(PARAMETERS_AT + 8 * i, this.#memory.address + BigInt(at), true)
      at = this.#write(Array.isArray(arg) ? arg : [arg], at)
    })
    return 'apart'
  }

  /** as C lays them out; returns where they end */
  #write(args: readonly KernelArg[], at: number): number {
    const view = this.#view
    for (const arg of args) {
      if (typeof arg === 'number') {
        view.setUint32(at, arg >>> 0, true)
        at += 4
      } else if (typeof arg === 'object' && 'f32' in arg) {
        view.setFloat32(at, arg.f32, true)
        at += 4
      } else if (typeof arg === 'object' && 'tiles' in arg) {
        at = (at + MAP.align - 1) & -MAP.align
        if (arg.tiles) this.#encode(arg.tiles, at)
        at += MAP.bytes
      } else {
        at = (at + 7) & ~7
        if (typeof arg === 'bigint') view.setBigUint64(at, arg, true)
        else view.setFloat64(at, arg.f64, true)
        at += 8
      }
    }
    return at
  }

  #encode({ of: { at: from, rows, cols, stride, dtype }, high, stack }: Tiles, at: number): void {
    const { type, wide: columns, bytes, swizzle } = ELEMENTS[dtype as keyof typeof ELEMENTS]
    const pitch = (stride * columns * bytes) / 64
    const [sizes, strides, box] = [[(cols * columns) / 64, rows], [pitch], [columns, high]]
    if (stack !== undefined) {
      sizes.splice(1, 1, rows / stack, stack)
      strides.push((pitch * rows) / stack)
      box.push(1)
    }
    const wide = (values: number[]) => BigUint64Array.from(values, BigInt)
    const { plain, promotion, zeros } = TILES
    const map = this.#memory.address + BigInt(at)
    const shape = [sizes.length, from, wide(sizes), wide(strides), Uint32Array.from(box), new Uint32Array(box.length).fill(1)]
    this.#card.driver.call('encodeTiles', map, type, ...shape, plain, swizzle, promotion, zeros)
  }

  dispose(): void {
    this.#card.unpin(this.#memory)
  }
}
