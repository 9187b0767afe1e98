/** The small interface every device has: hold memory, run plans. Nothing above it asks which device it is. */
import { SaqrError } from '../error.ts'
import type { Plan } from '../graph/plan.ts'
import type { DType } from '../models/trace.ts'

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
  /** shares of the limits that kernels reach at training sizes: what predicted times are made of */
  reach: { compute: number; copy: number }
  /** memory of the process beside arena and store, bytes: runtime, libraries, the device's own */
  overhead: number
}

/** What a second run at the same time is told. */
export function busy(): SaqrError {
  return new SaqrError(
    'DEVICE_BUSY',
    'this device is running for another caller: wait for that to end, or open the model on a device of its own',
  )
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

export interface Device {
  describe(): DeviceDescription
  /** measured once a machine, about a second, and kept in the user's cache; `anew`: whatever is kept */
  limits(options?: { anew?: boolean }): Limits
  /** A named, persistent tensor shared by every plan. Creating a name twice is an error. */
  store(name: string, spec: StoreSpec): void
  has(name: string): boolean
  /** frees one store tensor */
  drop(name: string): void
  writeStore(name: string, bytes: Uint8Array, byteOffset?: number): void
  readStore(name: string, byteOffset?: number, bytes?: number): Uint8Array
  /** Makes the one arena at least this large; what lies in it is lost. Loading a larger plan grows it, too. */
  reserve(bytes: number): void
  load(plan: Plan, options?: { profile?: boolean }): LoadedPlan
  /** Copies inputs (by buffer name) into place, then runs the items in order without blocking the event loop. Rejects on abort with the signal's reason, and with DEVICE_BUSY while another run goes on: all plans share the arena. */
  run(items: readonly RunItem[], inputs: Readonly<Record<string, ArrayBufferView>>, options?: { signal?: AbortSignal }): Promise<void>
  /** Runs steps [from, to) of a plan alone: op by op, for checks. */
  runSteps(plan: LoadedPlan, from: number, to: number): Promise<void>
  /** contents of an arena or input buffer of the plan, dense row-major in its dtype */
  read(plan: LoadedPlan, buffer: string): Uint8Array
  /** bytes that this process may use here, those it uses already among them */
  available(): number
  /** bytes that are resident for arena and owned store (mapped files apart) */
  resident(): { arena: number; store: number; mapped: number }
  dispose(): void
}
