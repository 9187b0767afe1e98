/** Puts launches on the card's stream, eagerly or while it is being captured. */
import type { KernelArg, KernelLaunch, Launch } from '../../ops/cuda-launch.ts'
import type { Card, Pinned } from './card.ts'
import type { Kernels } from './kernels.ts'
import type { Matmuls } from './matmul.ts'

/** layout of the block of native memory that describes a launch to the driver: its `extra` list, the size, the arguments */
const SIZE_AT = 64
const ARGS_AT = 128
const BLOCK = 4096
/** CU_LAUNCH_PARAM_BUFFER_POINTER, CU_LAUNCH_PARAM_BUFFER_SIZE */
const BUFFER = 1n
const BUFFER_SIZE = 2n

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

  launch(what: Launch): void {
    if (what.kind === 'kernel') this.#kernel(what)
    else if (what.kind === 'matmul') this.#matmuls.run(what)
    else this.#card.zeroRows(what.at, what.rows, what.bytes, what.pitch)
  }

  #kernel({ source, name, grid, block, shared, args }: KernelLaunch): void {
    const f = this.#kernels.get(source, name, shared)
    this.#view.setBigUint64(SIZE_AT, BigInt(this.#write(args)), true)
    this.#card.driver.call('launch', f, grid[0], grid[1], grid[2], block, 1, 1, shared, this.#card.stream, 0n, this.#memory.address)
  }

  /** the arguments as C lays them out; returns their size */
  #write(args: readonly KernelArg[]): number {
    const view = this.#view
    let at = ARGS_AT
    for (const arg of args) {
      if (typeof arg === 'number') {
        view.setUint32(at, arg >>> 0, true)
        at += 4
      } else if (typeof arg === 'object' && 'f32' in arg) {
        view.setFloat32(at, arg.f32, true)
        at += 4
      } else {
        at = (at + 7) & ~7
        if (typeof arg === 'bigint') view.setBigUint64(at, arg, true)
        else view.setFloat64(at, arg.f64, true)
        at += 8
      }
    }
    return at - ARGS_AT
  }

  dispose(): void {
    this.#card.unpin(this.#memory)
  }
}
