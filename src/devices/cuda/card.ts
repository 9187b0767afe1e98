/** One card: its context, its stream, memory on it, pinned memory on the host's side. */
import { option, SaqrError, say } from '../../error.ts'
import type { Beside } from '../../graph/plan.ts'
import { givePagesBack, takePages } from '../cpu/pages.ts'
import { viewOf } from '../ffi.ts'
import { ATTRIBUTE, chosenCard, visibleCards } from './cards.ts'
import { Driver } from './driver.ts'
import { nvmlOf } from './nvml.ts'

const NON_BLOCKING = 1
const PORTABLE = 1
const MAPPED = 2
/** CU_STREAM_CAPTURE_MODE_RELAXED: libraries may still load their kernels while a segment is captured */
const RELAXED = 2
/** pieces in which large data crosses to the card */
const PIECE = 16 << 20
/** where less than this can't be pinned, nothing is planned there */
const LEAST_PINNED = 64 << 20

/** Pinned host memory: the card reads and writes it while the host goes on. */
export interface Pinned {
  address: bigint
  bytes: Uint8Array
}

/** CUresult: somebody else has a card for himself (compute mode EXCLUSIVE_PROCESS) */
const BUSY = 46

export class Card {
  readonly driver: Driver
  readonly name: string
  /** of those that the process sees, from 0 */
  readonly ordinal: number
  /** compute capability: 90 */
  readonly arch: number
  readonly multiprocessors: number
  /** CUDA version the driver supports: 13000 is 13.0 */
  readonly driverVersion: number
  /** bytes of memory it has */
  readonly capacity: number
  /** bytes that its context takes, before anything is in it; null: nobody says, or this process had opened it before */
  readonly contextBytes: number | null
  /** what is enqueued goes here */
  stream: bigint
  /** what runs beside it: copies to the host's memory and back, kernels that leave most of the card waiting */
  readonly queues: Readonly<Record<Beside['on'], bigint>>
  /** its memory is the host's */
  readonly integrated: boolean
  /** the host's memory that may be pinned, bytes: less than was refused */
  pinnable = Number.POSITIVE_INFINITY
  readonly #device: number
  #capturing: bigint | undefined
  #staging: Pinned | undefined
  /** bytes of each allocation, by address */
  readonly #held = new Map<bigint, number>()
  /** the same of the host's memory that is pinned for it */
  readonly #registered = new Map<bigint, number>()

  /**
   * @param ordinal undefined: the first that saqr can use
   * @throws SaqrError DEVICE_CUDA_MISSING without a driver or a card, DEVICE_CUDA_HIDDEN where CUDA_VISIBLE_DEVICES names none that is there,
   * DEVICE_CUDA_DRIVER for a driver that can't be used, DEVICE_CUDA_CARD for a card that can't, DEVICE_CUDA_BUSY, MEMORY_REFUSED
   */
  constructor(ordinal?: number, driver = new Driver()) {
    this.driver = driver
    const facts = chosenCard(visibleCards(driver), ordinal)
    this.ordinal = facts.ordinal
    this.#device = facts.device
    this.name = facts.name
    this.driverVersion = driver.version
    this.arch = facts.arch
    this.multiprocessors = this.#attribute('multiprocessors')
    this.integrated = this.#attribute('integrated') !== 0
    let context = 0n
    this.contextBytes = openedWithin(
      () => watch(facts.uuid),
      () => {
        context = this.#retain()
      },
    )
    try {
      driver.use(context)
      this.capacity = this.memory().total
      this.stream = driver.result('streamCreate', NON_BLOCKING)
      this.queues = { copies: driver.result('streamCreate', NON_BLOCKING), kernels: driver.result('streamCreate', NON_BLOCKING) }
    } catch (error) {
      driver.raw.contextRelease(this.#device)
      throw error
    }
  }

  #retain(): bigint {
    const out = new BigUint64Array(1)
    const status = this.driver.raw.contextRetain(out, this.#device) as number
    if (status === 0) return out[0]!
    if (status === BUSY)
      throw new SaqrError(
        'DEVICE_CUDA_BUSY',
        say`${this.name} is taken: another process has it for itself (nvidia-smi lists processes, and its compute mode: -q -d COMPUTE), or nobody may use it. Wait for it, name another card with ${option('device')}, or use the CPU with ${option('device')} cpu. ${this.driver.words('contextRetain', status)}.`,
      )
    const cause = this.driver.error('contextRetain', status)
    if (cause.code !== 'MEMORY_REFUSED') throw cause
    throw new SaqrError(
      'MEMORY_REFUSED',
      `${this.name} has not even the memory free to be opened: others hold it (nvidia-smi lists them). ${cause.message}`,
      { cause },
    )
  }

  #attribute(name: keyof typeof ATTRIBUTE): number {
    return this.driver.int('deviceAttribute', ATTRIBUTE[name], this.#device)
  }

  /** Of a card that shares the host's memory the driver counts as taken what the system would give back (files that it keeps in memory). */
  memory(): { free: number; total: number } {
    const out = [new BigUint64Array(1), new BigUint64Array(1)] as const
    this.driver.call('memoryInfo', ...out)
    const [free, total] = [Number(out[0][0]), Number(out[1][0])]
    return { free: this.integrated ? Math.min(total, Math.max(free, process.availableMemory())) : free, total }
  }

  /** @throws SaqrError MEMORY_REFUSED, which names `what`, what the card has free and who holds the rest */
  alloc(bytes: number, what: string): bigint {
    const out = new BigUint64Array(1)
    const size = Math.max(bytes, 256)
    const status = this.driver.raw.alloc(out, size) as number
    if (status !== 0) throw this.#refused(bytes, what, this.driver.error('alloc', status))
    this.#held.set(out[0]!, size)
    return out[0]!
  }

  #refused(bytes: number, what: string, cause: SaqrError): SaqrError {
    if (cause.code !== 'MEMORY_REFUSED') return cause
    const { free, total } = this.memory()
    const own = [...this.#held.values()].reduce((sum, n) => sum + n, 0)
    return new SaqrError(
      'MEMORY_REFUSED',
      say`${this.name} has ${gib(free)} free of ${gib(total)}, too little for ${what} (${gib(bytes)}): this run holds ${gib(own)}, other processes and the driver ${gib(total - free - own)} (nvidia-smi lists them). Free some, or give a smaller ${option('memory')}. ${cause.said}`,
      { cause },
    )
  }

  free(address: bigint): void {
    if (!address) return
    this.#held.delete(address)
    this.driver.release('free', address)
  }

  /** @throws SaqrError MEMORY_REFUSED; DEVICE_UNSUPPORTED in a runtime where JavaScript can't reach memory that isn't its own */
  pin(bytes: number): Pinned {
    const out = new BigUint64Array(1)
    const status = this.driver.raw.hostAlloc(out, bytes, PORTABLE) as number
    if (status !== 0) throw this.#hostRefused(bytes, 'what crosses to the card', this.driver.error('hostAlloc', status))
    const address = out[0]!
    const own = viewOf(address, bytes)
    if (own) return { address, bytes: new Uint8Array(own) }
    this.driver.release('hostFree', address)
    throw new SaqrError(
      'DEVICE_UNSUPPORTED',
      say`within Electron JavaScript can't reach the memory that a card reads: set ${option('device')} to cpu, or run saqr in a process of Node's own (saqr serve is one)`,
    )
  }

  /**
   * Pinned host memory that the card reads and writes by the same address. Taken by many threads and then registered, since the driver's own
   * allocation takes 0.4 s a GiB and this 0.05 (bench/results/pinned-h100.txt); where registered memory has another address for the card, allocated.
   * @throws SaqrError MEMORY_REFUSED, which names `what`
   */
  allocHost(bytes: number, what: string): bigint {
    const size = Math.max(bytes, 256)
    if (!this.#attribute('registeredBySameAddress')) {
      const out = new BigUint64Array(1)
      const status = this.driver.raw.hostAlloc(out, size, PORTABLE | MAPPED) as number
      if (status !== 0) throw this.#hostRefused(bytes, what, this.driver.error('hostAlloc', status))
      return out[0]!
    }
    const at = takePages(size)
    if (!at) throw this.#hostRefused(bytes, what)
    const status = this.driver.raw.hostRegister(at, size, PORTABLE | MAPPED) as number
    if (status !== 0) {
      givePagesBack(at, size)
      throw this.#hostRefused(bytes, what, this.driver.error('hostRegister', status))
    }
    this.#registered.set(at, size)
    return at
  }

  #hostRefused(bytes: number, what: string, cause?: SaqrError): SaqrError {
    if (cause && cause.code !== 'MEMORY_REFUSED') return cause
    this.pinnable = Math.min(this.pinnable, bytes < LEAST_PINNED ? 0 : Math.floor(bytes / 2))
    return new SaqrError(
      'MEMORY_REFUSED',
      say`the host has too little memory that can be pinned for ${what} (${gib(bytes)}): free some, raise its limit (ulimit -l), or give a larger ${option('memory')}, so that less of it is needed. ${cause?.said ?? say``}`,
      { cause },
    )
  }

  freeHost(address: bigint): void {
    if (!address) return
    const bytes = this.#registered.get(address)
    this.driver.release(bytes ? 'hostUnregister' : 'hostFree', address)
    this.#registered.delete(address)
    if (bytes) givePagesBack(address, bytes)
  }

  unpin(memory: Pinned): void {
    this.driver.release('hostFree', memory.address)
  }

  /** What `work` enqueues is captured as a graph, on a stream of its own: what runs on the card's goes on. */
  capture(work: () => void): bigint {
    const { driver, stream } = this
    this.stream = this.#capturing ??= driver.result('streamCreate', NON_BLOCKING)
    const graph = new BigUint64Array(1)
    try {
      driver.call('captureBegin', this.stream, RELAXED)
      try {
        work()
      } catch (error) {
        driver.raw.captureEnd(this.stream, graph)
        throw error
      }
      driver.call('captureEnd', this.stream, graph)
    } finally {
      this.stream = stream
    }
    try {
      return driver.result('graphInstantiate', graph[0]!, 0)
    } finally {
      driver.call('graphDestroy', graph[0]!)
    }
  }

  synchronize(): void {
    this.driver.call('streamSynchronize', this.stream)
  }

  zero(address: bigint, bytes: number, stream = this.stream): void {
    if (bytes) this.driver.call('fill', address, 0, bytes, stream)
  }

  /** `rows` rows of `bytes` bytes that begin `pitch` bytes apart */
  zeroRows(address: bigint, rows: number, bytes: number, pitch: number, stream = this.stream): void {
    if (bytes === pitch || rows === 1) this.zero(address, rows * bytes, stream)
    else if (rows && bytes) this.driver.call('fillRows', address, pitch, 0, bytes, rows, stream)
  }

  /** `fill(piece, at)` puts bytes [at, at + piece.length) of what is to be at `address` into pinned memory, piece by piece. */
  upload(address: bigint, bytes: number, fill: (piece: Uint8Array, at: number) => void): void {
    const staging = (this.#staging ??= this.pin(PIECE))
    for (let at = 0; at < bytes; at += PIECE) {
      const piece = staging.bytes.subarray(0, Math.min(PIECE, bytes - at))
      fill(piece, at)
      this.driver.call('copy', address + BigInt(at), staging.address, piece.length, this.stream)
      this.synchronize()
    }
  }

  download(address: bigint, bytes: number): Uint8Array {
    const out = new Uint8Array(bytes)
    const staging = (this.#staging ??= this.pin(PIECE))
    for (let at = 0; at < bytes; at += PIECE) {
      const size = Math.min(PIECE, bytes - at)
      this.driver.call('copy', staging.address, address + BigInt(at), size, this.stream)
      this.synchronize()
      out.set(staging.bytes.subarray(0, size), at)
    }
    return out
  }

  dispose(): void {
    if (this.#staging) this.unpin(this.#staging)
    if (this.#capturing) this.driver.raw.streamDestroy(this.#capturing)
    for (const queue of Object.values(this.queues)) this.driver.raw.streamDestroy(queue)
    this.driver.raw.streamDestroy(this.stream)
    this.driver.raw.contextRelease(this.#device)
    this.driver.leave()
  }
}

/** What says how much of a card this process holds. */
export interface OwnBytes {
  now(): number
  /** bytes of the card */
  total: number
  close(): void
}

/** NVIDIA's management library, as far as it is there */
function watch(uuid: string): OwnBytes {
  const nvml = nvmlOf(uuid)
  return { now: () => nvml.ofProcess(process.pid), total: nvml.total, close: () => nvml.close() }
}

/** What opening a context takes of a card; null where nobody says, processes are not told apart, or this one had something there before. */
export function openedWithin(watching: () => OwnBytes, open: () => void): number | null {
  let own: OwnBytes | undefined
  let before = 0
  try {
    own = watching()
    before = own.now()
  } catch {
    // no such library, or it doesn't say
  }
  try {
    open()
    return own && before === 0 ? bytesOf(own) : null
  } finally {
    own?.close()
  }
}

function bytesOf(own: OwnBytes): number | null {
  try {
    const bytes = own.now()
    return bytes > 0 && bytes < own.total ? bytes : null
  } catch {
    return null // it doesn't say any more
  }
}

const gib = (bytes: number) => `${(bytes / 2 ** 30).toFixed(2)} GiB`
