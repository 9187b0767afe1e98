/** One card: its context, its stream, memory on it, pinned memory on the host's side. */
import { option, SaqrError, say } from '../../error.ts'
import { ffi } from '../ffi.ts'
import { Driver } from './driver.ts'

/** CU_DEVICE_ATTRIBUTE_… */
const ATTRIBUTE = { multiprocessors: 16, major: 75, minor: 76 }
const NON_BLOCKING = 1
const PORTABLE = 1
/** what the kernels are written for */
const OLDEST = 75
/** pieces in which large data crosses to the card */
const PIECE = 16 << 20

/** Pinned host memory: the card reads and writes it while the host goes on. */
export interface Pinned {
  address: bigint
  bytes: Uint8Array
}

export class Card {
  readonly driver = new Driver()
  readonly name: string
  /** compute capability: 90 */
  readonly arch: number
  readonly multiprocessors: number
  /** CUDA version the driver supports: 13000 is 13.0 */
  readonly driverVersion: number
  readonly stream: bigint
  readonly #device: number
  readonly #context: bigint
  #staging: Pinned | undefined

  /** @throws SaqrError DEVICE_CUDA_MISSING without a driver or a card */
  constructor(ordinal = 0) {
    const { driver } = this
    const status = driver.raw.init(0) as number
    const count = status === 0 ? driver.int('deviceCount') : 0
    if (ordinal >= count) {
      const why = status === 0 ? `${count} CUDA cards are visible` : driver.error('init', status).message
      throw new SaqrError(
        'DEVICE_CUDA_MISSING',
        say`There is no CUDA card ${ordinal} (${why}): check nvidia-smi, or use the CPU with ${option('device')} cpu.`,
      )
    }
    this.#device = driver.int('deviceGet', ordinal)
    const name = new Uint8Array(256)
    driver.call('deviceName', name, name.length, this.#device)
    this.name = new TextDecoder().decode(name.subarray(0, name.indexOf(0)))
    this.driverVersion = driver.int('driverVersion')
    this.arch = this.#attribute('major') * 10 + this.#attribute('minor')
    this.multiprocessors = this.#attribute('multiprocessors')
    if (this.arch < OLDEST) {
      throw new SaqrError(
        'DEVICE_CUDA_CARD',
        `${this.name} has compute capability ${this.arch / 10}; saqr needs ${OLDEST / 10} (Turing) or later.`,
      )
    }
    this.#context = driver.result('contextRetain', this.#device)
    driver.call('contextSet', this.#context)
    this.stream = driver.result('streamCreate', NON_BLOCKING)
  }

  #attribute(name: keyof typeof ATTRIBUTE): number {
    return this.driver.int('deviceAttribute', ATTRIBUTE[name], this.#device)
  }

  memory(): { free: number; total: number } {
    const out = [new BigUint64Array(1), new BigUint64Array(1)] as const
    this.driver.call('memoryInfo', ...out)
    return { free: Number(out[0][0]), total: Number(out[1][0]) }
  }

  /** @throws SaqrError MEMORY_REFUSED, which names `what` and what the card has free */
  alloc(bytes: number, what: string): bigint {
    const out = new BigUint64Array(1)
    const status = this.driver.raw.alloc(out, Math.max(bytes, 256)) as number
    if (status === 0) return out[0]!
    const free = (this.memory().free / 2 ** 30).toFixed(2)
    throw new SaqrError(
      'MEMORY_REFUSED',
      `${this.name} has ${free} GiB free, too little for ${what} (${(bytes / 2 ** 30).toFixed(2)} GiB): ${this.driver.error('alloc', status).message}`,
    )
  }

  free(address: bigint): void {
    if (address) this.driver.call('free', address)
  }

  pin(bytes: number): Pinned {
    const address = this.driver.result('hostAlloc', bytes, PORTABLE)
    return { address, bytes: new Uint8Array(ffi().view(address, bytes)) }
  }

  unpin(memory: Pinned): void {
    this.driver.call('hostFree', memory.address)
  }

  synchronize(): void {
    this.driver.call('streamSynchronize', this.stream)
  }

  zero(address: bigint, bytes: number): void {
    if (bytes) this.driver.call('fill', address, 0, bytes, this.stream)
  }

  /** `rows` rows of `bytes` bytes that begin `pitch` bytes apart */
  zeroRows(address: bigint, rows: number, bytes: number, pitch: number): void {
    if (bytes === pitch || rows === 1) this.zero(address, rows * bytes)
    else if (rows && bytes) this.driver.call('fillRows', address, pitch, 0, bytes, rows, this.stream)
  }

  /** `fill(piece, at)` puts bytes [at, at + piece.length) of what is to be at `address` into pinned memory, piece by piece. */
  upload(address: bigint, bytes: number, fill: (piece: Uint8Array, at: number) => void): void {
    const staging = (this.#staging ??= this.pin(PIECE))
    for (let at = 0; at < bytes; at += PIECE) {
      const piece = staging.bytes.subarray(0, Math.min(PIECE, bytes - at))
      fill(piece, at)
      this.driver.call('copyToDevice', address + BigInt(at), staging.address, piece.length, this.stream)
      this.synchronize()
    }
  }

  download(address: bigint, bytes: number): Uint8Array {
    const out = new Uint8Array(bytes)
    const staging = (this.#staging ??= this.pin(PIECE))
    for (let at = 0; at < bytes; at += PIECE) {
      const size = Math.min(PIECE, bytes - at)
      this.driver.call('copyToHost', staging.address, address + BigInt(at), size, this.stream)
      this.synchronize()
      out.set(staging.bytes.subarray(0, size), at)
    }
    return out
  }

  dispose(): void {
    if (this.#staging) this.unpin(this.#staging)
    this.driver.raw.streamDestroy(this.stream)
    this.driver.raw.contextRelease(this.#device)
  }
}
