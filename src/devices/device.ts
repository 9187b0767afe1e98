/** The small interface every device has: hold memory, run plans. Nothing above it asks which device it is. */
import { SaqrError } from '../error.ts'
import type { ScratchOf } from '../graph/lower.ts'
import type { Plan, Segment } from '../graph/plan.ts'
import type { DType } from '../ops/tensor.ts'

/** Where a store tensor's first bytes come from. `file` is mapped (CPU) or uploaded (GPU), never copied into JavaScript. */
export type StoreSource = { kind: 'zero' } | { kind: 'data'; bytes: Uint8Array } | { kind: 'file'; path: string; offset: number }

/** NF4 (formats/nf4.ts): `absmax` is f32 a block, or u8 codes when nested. */
export interface QuantSpec {
  blocksize: number
  codebook: Float32Array
  absmax: StoreSource
  nested?: { blocksize: number; code: Float32Array; absmax: StoreSource; offset: number }
}

export interface StoreSpec {
  rows: number
  cols: number
  dtype: DType
  source: StoreSource
  /** only some rows are read at a time: it lies in the host's memory, where there is one beside the device's own, until it is moved */
  sparse?: boolean
  /** for dtype nf4; `source` then holds the packed nibbles */
  quant?: QuantSpec
}

/** What the machine can do at most, measured: shares and predicted times are of these. */
export interface Limits {
  /** multiply-adds of f32 and of bf16 operands, FLOP/s */
  f32: number
  bf16: number
  /** bytes/s, read + write */
  copy: number
  /** bytes/s to a host's memory beside the device's own and back, each way; absent: there is none */
  host?: number
}

/** What kernels reach of the limits at training sizes: what predicted times are made of. */
export interface Reach {
  /** shares: of FLOP/s in products, and where they are of pairs that see each other; of bytes/s */
  compute: number
  pairs: number
  copy: number
  /** of FLOP/s where rows are parted over groups; absent: as in other products */
  groups?: number
  /** the first two in bf16, where they are others there */
  bf16?: { compute: number; pairs: number }
  /** seconds that a step takes, however small */
  launch: number
  /** seconds that one over pairs takes beside what its FLOPs do: rows of the last blocks leave most of the device idle */
  pairsLaunch?: number
}

/** Memory that no plan names, by what it is for. */
export interface Overhead {
  kind: string
  bytes: number
}

export interface DeviceDescription {
  kind: string
  /** what a user reads: "2 threads, x86-64-v4-bf16" */
  label: string
  threads: number
  /** tokens of a pass are rounded up to a multiple of this */
  tokenQuantum: number
  /** a longer pass is no faster a token */
  passTokens: number
  reach: Reach
  /** memory of the process beside arena and store: runtime, libraries, the device's own */
  overhead: readonly Overhead[]
  /** and for each token of the vocabulary, where the tokenizer lies in the same memory: its maps and texts, bytes; default 0 */
  overheadPerToken?: number
  /** bytes of memory of its own, whoever holds them; absent: it uses the machine's */
  memory?: number
  /** whose that is, where there are several: `card 1` */
  place?: string
  /** bytes of the host's memory that plans may offload to; absent: it has no memory beside the machine's */
  hostMemory?: number
  /** GGUF's blocks that its kernels read as they are; absent: none */
  blocks?: readonly DType[]
  /** it can keep 4-bit weights in bf16 too (`keepDense`) */
  keepsDense?: boolean
  /**
   * The sums of a product depend on how many rows it has: texts that are generated go on in passes of exactly so many, and prompts are read in
   * whole pages, so that none depends on what stands beside it. Absent: they don't.
   */
  generationRows?: number
  /** ops that it has kernels of; where it has none of one that others can stand in for, those are traced instead (`Op.expand`) */
  has: (op: string) => boolean
  /** it multiplies in the activations' type alone: plans for it bring trained weights of few rows or columns, as an adapter's are, to that once a pass (graph/working-copies.ts) */
  copiesAdapters?: boolean
  /** it can run kernels of little arithmetic beside those of much (`Op.beside`), for some memory of its own */
  overlaps?: boolean
  /** a run that comes while another is under way is queued behind it on the device, without the host: worth beginning early */
  queues?: boolean
  /** what the kernel of a node needs beside its tensors: plans for this device are lowered with it; absent: none needs any */
  scratch?: ScratchOf
}

/** What a call on a disposed device is told, also one that waited for its turn. */
export function disposed(what = 'this device'): SaqrError {
  return new SaqrError('DEVICE_DISPOSED', `${what} was disposed of`)
}

/** memory of the process beside arena and store, with a tokenizer of so many tokens */
export function overheadOf({ overhead, overheadPerToken = 0 }: DeviceDescription, vocab: number): readonly Overhead[] {
  return overheadPerToken > 0 ? [...overhead, { kind: 'the tokenizer', bytes: vocab * overheadPerToken }] : overhead
}

export function overheadBytes(overhead: readonly Overhead[]): number {
  return overhead.reduce((sum, { bytes }) => sum + bytes, 0)
}

export interface RunItem {
  plan: LoadedPlan
  segment: string
}

export interface LoadedPlan {
  readonly plan: Plan
  /** seconds of each step, summed over the runs since `profile` was switched on */
  readonly seconds?: Float64Array
  dispose(): void
}

export type PassInputs = Readonly<Record<string, ArrayBufferView>>

export interface RunOptions {
  signal?: AbortSignal
  read?: readonly string[]
}

/** What can be done while the device is one's own. */
export interface Turn {
  /** Copies inputs (by buffer name) into place, then runs the items, all of one plan, in order without blocking the event loop. Rejects on abort with the signal's reason. */
  run(items: readonly RunItem[], inputs: PassInputs, signal?: AbortSignal): Promise<void>
  /** Runs steps [from, to) of a plan alone: op by op, for checks. */
  runSteps(plan: LoadedPlan, from: number, to: number): Promise<void>
  /** contents of an arena or input buffer of the plan, dense row-major in its dtype */
  read(plan: LoadedPlan, buffer: string): Uint8Array
}

/** what `run` is of a device that runs one thing at a time */
export function runOnce(
  device: Pick<Device, 'turn'>,
  items: readonly RunItem[],
  inputs: PassInputs,
  options: RunOptions = {},
): Promise<Uint8Array[]> {
  const { signal, read = [] } = options
  return device.turn(async (turn) => {
    await turn.run(items, inputs, signal)
    return read.map((name) => turn.read(items[0]!.plan, name))
  }, signal)
}

/** the place of a plan's buffer by its name */
export function bufferOf({ plan }: LoadedPlan, name: string): number {
  const i = plan.buffers.findIndex((b) => b.name === name)
  if (i < 0) throw new Error(`the plan has no buffer '${name}'`)
  return i
}

export function segmentOf({ plan }: LoadedPlan, name: string): Segment {
  const found = plan.segments.find((s) => s.name === name)
  if (!found) throw new Error(`the plan has no segment '${name}'`)
  return found
}

/** Where a model lies and is computed: memory for weights, and plans that run on it. Made by openDevice. */
export interface Device {
  /** what it is: its name, threads or card, and what it can do */
  describe(): DeviceDescription
  /** measured once a machine, about a second, and kept in the user's cache; `anew`: whatever is kept */
  limits(options?: { anew?: boolean }): Limits
  /** A named, persistent tensor shared by every plan. Creating a name twice is an error. */
  store(name: string, spec: StoreSpec): void
  /** is there a store tensor of this name? */
  has(name: string): boolean
  /** Frees one store tensor: at once, or when the turn under way ends. Plans that read it can't be run any more. */
  drop(name: string): void
  /** Writes bytes into a store tensor, from `byteOffset` on. */
  writeStore(name: string, bytes: Uint8Array, byteOffset?: number): void
  /** The bytes of a store tensor, copied: all of them, or `bytes` from `byteOffset` on. */
  readStore(name: string, byteOffset?: number, bytes?: number): Uint8Array
  /** The tensor's own bytes, to be filled where they lie; not to be kept. Only where JavaScript reaches a store's memory. */
  storeBytes?(name: string, byteOffset: number, bytes: number): Uint8Array | undefined
  /** Moves a store tensor between its memory and the host's, where kernels read it too, slowly. Only where there is `hostMemory`. */
  move?(name: string, to: 'host' | 'device'): void
  /**
   * Keeps these 4-bit store tensors in bf16 too until `dropDense` of the same owner: kernels read those, which they would else make in scratch
   * every time. One that can't be kept leaves all as they were. @throws SaqrError MEMORY_REFUSED
   */
  keepDense?(owner: object, names: readonly string[]): Promise<void>
  /** Those that nobody else keeps are given back once no run reads them. */
  dropDense?(owner: object): void
  /**
   * Makes the one arena as large as this or as the largest plan that is loaded, and the host memory that plans offload to at least so large: at once,
   * or, while something runs, no smaller than it is and before the next run. What lies there is lost. Loading a larger plan grows it, too.
   */
  reserve(arena: number, host?: number): void
  /** Makes a plan ready to run; `profile`: its runs measure each op. */
  load(plan: Plan, options?: { profile?: boolean }): LoadedPlan
  /** Does ahead what the first run of a loaded plan would spend time on, beside whatever runs now; where nothing can be done, nothing. */
  prepare?(plan: LoadedPlan): Promise<void>
  /**
   * The device to itself: nothing else is asked of it until `work` is done, and what it `queues` of the turn before comes first. Calls queue; `signal` ends the wait with its reason. Rejects with
   * DEVICE_DISPOSED where the device is disposed of meanwhile. Not to be called from within a turn, which would wait for itself.
   */
  turn<T>(work: (turn: Turn) => Promise<T>, signal?: AbortSignal): Promise<T>
  /** A turn of one run: the contents of the buffers that `read` names. */
  run(items: readonly RunItem[], inputs: PassInputs, options?: RunOptions): Promise<Uint8Array[]>
  /** bytes that this process may use here, those it uses already among them */
  available(): number
  /** bytes of it that nothing is in yet: of mapped files all of them count as used, they are read again and again */
  free(): number
  /** bytes that are resident for arena and owned store (mapped files apart) */
  resident(): { arena: number; store: number; mapped: number }
  /** Frees everything: at once, or, where a run is under way, as soon as that has stopped; whoever waits is told DEVICE_DISPOSED. */
  dispose(): void
}
