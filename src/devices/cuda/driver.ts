/** The driver API: its functions bound, its errors as exceptions. */
import { SaqrError } from '../../error.ts'
import type { ForeignFunction } from '../ffi.ts'
import { openDriver } from './libraries.ts'

/** Handles and addresses are 64-bit integers here; results come back through `void*` to a typed array. */
const FUNCTIONS = {
  init: 'int cuInit(unsigned int flags)',
  driverVersion: 'int cuDriverGetVersion(void* version)',
  deviceCount: 'int cuDeviceGetCount(void* count)',
  deviceGet: 'int cuDeviceGet(void* device, int ordinal)',
  deviceName: 'int cuDeviceGetName(void* name, int length, int device)',
  deviceAttribute: 'int cuDeviceGetAttribute(void* value, int attribute, int device)',
  contextRetain: 'int cuDevicePrimaryCtxRetain(void* context, int device)',
  contextRelease: 'int cuDevicePrimaryCtxRelease_v2(int device)',
  contextSet: 'int cuCtxSetCurrent(uint64_t context)',
  memoryInfo: 'int cuMemGetInfo_v2(void* free, void* total)',
  alloc: 'int cuMemAlloc_v2(void* address, size_t bytes)',
  free: 'int cuMemFree_v2(uint64_t address)',
  hostAlloc: 'int cuMemHostAlloc(void* address, size_t bytes, unsigned int flags)',
  hostFree: 'int cuMemFreeHost(uint64_t address)',
  copyToDevice: 'int cuMemcpyHtoDAsync_v2(uint64_t to, uint64_t from, size_t bytes, uint64_t stream)',
  copyToHost: 'int cuMemcpyDtoHAsync_v2(uint64_t to, uint64_t from, size_t bytes, uint64_t stream)',
  copyOnDevice: 'int cuMemcpyDtoDAsync_v2(uint64_t to, uint64_t from, size_t bytes, uint64_t stream)',
  fillRows: 'int cuMemsetD2D8Async(uint64_t to, size_t pitch, unsigned char value, size_t width, size_t height, uint64_t stream)',
  fill: 'int cuMemsetD8Async(uint64_t to, unsigned char value, size_t bytes, uint64_t stream)',
  streamCreate: 'int cuStreamCreate(void* stream, unsigned int flags)',
  streamDestroy: 'int cuStreamDestroy_v2(uint64_t stream)',
  streamSynchronize: 'int cuStreamSynchronize(uint64_t stream)',
  captureBegin: 'int cuStreamBeginCapture_v2(uint64_t stream, int mode)',
  captureEnd: 'int cuStreamEndCapture(uint64_t stream, void* graph)',
  graphInstantiate: 'int cuGraphInstantiateWithFlags(void* executable, uint64_t graph, uint64_t flags)',
  graphLaunch: 'int cuGraphLaunch(uint64_t executable, uint64_t stream)',
  graphDestroy: 'int cuGraphDestroy(uint64_t graph)',
  executableDestroy: 'int cuGraphExecDestroy(uint64_t executable)',
  eventCreate: 'int cuEventCreate(void* event, unsigned int flags)',
  eventDestroy: 'int cuEventDestroy_v2(uint64_t event)',
  eventRecord: 'int cuEventRecordWithFlags(uint64_t event, uint64_t stream, unsigned int flags)',
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

export class Driver {
  /** the raw functions; they return a status */
  readonly raw: Record<DriverFunction, ForeignFunction>

  constructor() {
    const library = openDriver()
    this.raw = Object.fromEntries(Object.entries(FUNCTIONS).map(([key, signature]) => [key, library.func(signature)])) as typeof this.raw
  }

  /** @throws SaqrError with the driver's own words */
  call(name: DriverFunction, ...args: unknown[]): void {
    const status = this.raw[name](...args) as number
    if (status !== 0) throw this.error(name, status)
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
    const text = (which: 'errorName' | 'errorText') => {
      const out: (string | null)[] = [null]
      return this.raw[which](status, out) === 0 ? out[0] : `error ${status}`
    }
    const entry = /cu\w+/.exec(FUNCTIONS[name])![0]
    return new SaqrError(
      status === OUT_OF_MEMORY ? 'MEMORY_REFUSED' : 'DEVICE_CUDA',
      `${entry}: ${text('errorText')} (${text('errorName')})`,
    )
  }
}
