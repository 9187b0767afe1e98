/** The driver API: its functions bound, its errors as exceptions. */
import { option, SaqrError, say } from '../../error.ts'
import type { ForeignFunction, Library } from '../ffi.ts'
import { openDriver } from './libraries.ts'

/** Handles and addresses are 64-bit integers here; results come back through `void*` to a typed array. */
const FUNCTIONS = {
  init: 'int cuInit(unsigned int flags)',
  driverVersion: 'int cuDriverGetVersion(void* version)',
  deviceCount: 'int cuDeviceGetCount(void* count)',
  deviceGet: 'int cuDeviceGet(void* device, int ordinal)',
  deviceName: 'int cuDeviceGetName(void* name, int length, int device)',
  deviceBus: 'int cuDeviceGetPCIBusId(void* bus, int length, int device)',
  deviceUuid: 'int cuDeviceGetUuid_v2(void* uuid, int device)',
  deviceAttribute: 'int cuDeviceGetAttribute(void* value, int attribute, int device)',
  contextRetain: 'int cuDevicePrimaryCtxRetain(void* context, int device)',
  contextRelease: 'int cuDevicePrimaryCtxRelease_v2(int device)',
  contextSet: 'int cuCtxSetCurrent(uint64_t context)',
  memoryInfo: 'int cuMemGetInfo_v2(void* free, void* total)',
  alloc: 'int cuMemAlloc_v2(void* address, size_t bytes)',
  free: 'int cuMemFree_v2(uint64_t address)',
  hostAlloc: 'int cuMemHostAlloc(void* address, size_t bytes, unsigned int flags)',
  hostFree: 'int cuMemFreeHost(uint64_t address)',
  hostRegister: 'int cuMemHostRegister_v2(uint64_t address, size_t bytes, unsigned int flags)',
  hostUnregister: 'int cuMemHostUnregister(uint64_t address)',
  copyToDevice: 'int cuMemcpyHtoDAsync_v2(uint64_t to, uint64_t from, size_t bytes, uint64_t stream)',
  copy: 'int cuMemcpyAsync(uint64_t to, uint64_t from, size_t bytes, uint64_t stream)',
  copyOnDevice: 'int cuMemcpyDtoDAsync_v2(uint64_t to, uint64_t from, size_t bytes, uint64_t stream)',
  fillRows: 'int cuMemsetD2D8Async(uint64_t to, size_t pitch, unsigned char value, size_t width, size_t height, uint64_t stream)',
  fill: 'int cuMemsetD8Async(uint64_t to, unsigned char value, size_t bytes, uint64_t stream)',
  streamCreate: 'int cuStreamCreate(void* stream, unsigned int flags)',
  streamDestroy: 'int cuStreamDestroy_v2(uint64_t stream)',
  streamSynchronize: 'int cuStreamSynchronize(uint64_t stream)',
  streamWait: 'int cuStreamWaitEvent(uint64_t stream, uint64_t event, unsigned int flags)',
  captureBegin: 'int cuStreamBeginCapture_v2(uint64_t stream, int mode)',
  captureEnd: 'int cuStreamEndCapture(uint64_t stream, void* graph)',
  graphInstantiate: 'int cuGraphInstantiateWithFlags(void* executable, uint64_t graph, uint64_t flags)',
  graphLaunch: 'int cuGraphLaunch(uint64_t executable, uint64_t stream)',
  graphDestroy: 'int cuGraphDestroy(uint64_t graph)',
  executableDestroy: 'int cuGraphExecDestroy(uint64_t executable)',
  eventCreate: 'int cuEventCreate(void* event, unsigned int flags)',
  eventDestroy: 'int cuEventDestroy_v2(uint64_t event)',
  eventRecord: 'int cuEventRecordWithFlags(uint64_t event, uint64_t stream, unsigned int flags)',
  eventSynchronize: 'int cuEventSynchronize(uint64_t event)',
  eventQuery: 'int cuEventQuery(uint64_t event)',
  eventElapsed: 'int cuEventElapsedTime(void* milliseconds, uint64_t start, uint64_t end)',
  moduleLoad: 'int cuModuleLoadData(void* module, const void* image)',
  moduleUnload: 'int cuModuleUnload(uint64_t module)',
  moduleFunction: 'int cuModuleGetFunction(void* f, uint64_t module, const char* name)',
  functionAttribute: 'int cuFuncSetAttribute(uint64_t f, int attribute, int value)',
  launch:
    'int cuLaunchKernel(uint64_t f, unsigned int gx, unsigned int gy, unsigned int gz, unsigned int bx, unsigned int by, unsigned int bz, unsigned int shared, uint64_t stream, uint64_t params, uint64_t extra)',
  encodeTiles:
    'int cuTensorMapEncodeTiled(uint64_t map, int type, unsigned int rank, uint64_t address, const void* sizes, const void* strides, const void* box, const void* steps, int interleave, int swizzle, int promotion, int fill)',
  errorName: 'int cuGetErrorName(int error, _Out_ const char** name)',
  errorText: 'int cuGetErrorString(int error, _Out_ const char** text)',
} as const

export type DriverFunction = keyof typeof FUNCTIONS

const OUT_OF_MEMORY = 2
/**
 * CUresult after which every later call of the process fails too: the driver is shut down, the card is gone or failed (46, 101, 214, 220), or a
 * kernel broke the context (700 … 719 but for 701, 704, 705, 708, 712, 713, which refuse one call)
 */
const LOST = new Set([4, 46, 101, 214, 220, 700, 702, 709, 710, 714, 715, 716, 717, 718, 719, 721, 999])
/** CUDA 12.0 came with R525 */
const OLDEST = { version: 12000, name: '12.0', driver: 525 }

/** 12040 -> 12.4 */
export const versionName = (version: number) => `${Math.floor(version / 1000)}.${Math.floor((version % 1000) / 10)}`

/** the context that this thread's calls meet: one for all cards of a process, whoever called last */
let current = 0n

export class Driver {
  /** the raw functions; they return a status */
  readonly raw: Record<DriverFunction, ForeignFunction>
  /** CUDA version it supports: 13000 is 13.0 */
  readonly version: number
  /** the card can't be used any more */
  lost = false
  /** of the card that it is for, once that is open */
  #context = 0n
  readonly #set: ForeignFunction

  /** @throws SaqrError DEVICE_CUDA_MISSING without a driver, DEVICE_CUDA_DRIVER where it is too old */
  constructor(library: Library = openDriver()) {
    const version = new Int32Array(1)
    // asked before the others are looked up: an older driver doesn't have them all
    if (library.func(FUNCTIONS.driverVersion)(version) === 0 && version[0]! < OLDEST.version)
      throw new SaqrError(
        'DEVICE_CUDA_DRIVER',
        say`The NVIDIA driver is for CUDA ${versionName(version[0]!)}; saqr needs one for CUDA ${OLDEST.name} or later (driver ${OLDEST.driver}). Update it (https://www.nvidia.com/drivers), or use the CPU with ${option('device')} cpu.`,
      )
    this.version = version[0]!
    this.raw = Object.fromEntries(
      Object.entries(FUNCTIONS).map(([key, signature]) => [key, this.#entering(library.func(signature))]),
    ) as typeof this.raw
    this.#set = library.func(FUNCTIONS.contextSet)
  }

  /** the same function, called with the card's own context, whichever card was called before */
  #entering(f: ForeignFunction): ForeignFunction {
    const entering = (...args: unknown[]) => {
      const status = this.#entered()
      return status === 0 ? f(...args) : status
    }
    // waits for an event, on a thread of the pool: an event knows its context
    return Object.assign(entering, { async: (...args: unknown[]) => f.async(...args) })
  }

  /** From now on calls are for the card of `context`. @throws SaqrError */
  use(context: bigint): void {
    this.#context = context
    this.enter()
  }

  /** Before a library is called that asks the thread for its context. */
  enter(): void {
    const status = this.#entered()
    if (status !== 0) throw this.error('contextSet', status)
  }

  #entered(): number {
    if (this.#context === 0n || current === this.#context) return 0
    const status = this.#set(this.#context) as number
    if (status === 0) current = this.#context
    return status
  }

  /** The card is closed: its context may be no more. */
  leave(): void {
    if (current === this.#context) current = 0n
    this.#context = 0n
  }

  /** @throws SaqrError with the driver's own words */
  call(name: DriverFunction, ...args: unknown[]): void {
    const status = this.raw[name](...args) as number
    if (status !== 0) throw this.error(name, status)
  }

  /** A call that gives something back: of a card that is lost there is nothing left to give. */
  release(name: DriverFunction, ...args: unknown[]): void {
    const status = this.raw[name](...args) as number
    const error = status === 0 ? undefined : this.error(name, status)
    if (error && !this.lost) throw error
  }

  /** the 64-bit result that a function writes through its first argument */
  result(name: DriverFunction, ...args: unknown[]): bigint {
    const out = new BigUint64Array(1)
    this.call(name, out, ...args)
    return out[0]!
  }

  int(name: DriverFunction, ...args: unknown[]): number {
    const out = new Int32Array(1)
    this.call(name, out, ...args)
    return out[0]!
  }

  error(name: DriverFunction, status: number): SaqrError {
    const words = this.words(name, status)
    if (status === OUT_OF_MEMORY) return new SaqrError('MEMORY_REFUSED', words)
    if (!LOST.has(status)) return new SaqrError('DEVICE_CUDA', words)
    this.lost = true
    return new SaqrError(
      'DEVICE_CUDA_LOST',
      `${words}. This process can't use the card any more: start it anew; nvidia-smi says how the card is.`,
    )
  }

  /** what the driver says of a status */
  words(name: DriverFunction, status: number): string {
    const text = (which: 'errorName' | 'errorText') => {
      const out: (string | null)[] = [null]
      return this.raw[which](status, out) === 0 ? out[0] : `error ${status}`
    }
    return `${/cu[A-Z]\w+/.exec(FUNCTIONS[name])![0]}: ${text('errorText')} (${text('errorName')})`
  }
}
