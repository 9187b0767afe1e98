/** A driver of no card at all: it answers as it is told to. */
import type { ForeignFunction, Library } from '../../src/devices/ffi.ts'

export interface FakeCard {
  /** CUDA version, 13000 is 13.0 */
  version?: number
  cards?: number
  /** bytes */
  free?: number
  total?: number
  /** status of a function of the driver, by its name */
  fails?: Record<string, number>
  /** registered host memory has the same address for the card; 0: another one */
  sameAddress?: 0 | 1
  /** compute capability of each card; default 90 */
  archs?: number[]
  /** its memory is the host's */
  integrated?: 0 | 1
  /** more than this of the host's memory can't be pinned at once, bytes */
  pinnable?: number
}

const WORDS: Record<number, [string, string]> = {
  46: ['CUDA_ERROR_DEVICE_UNAVAILABLE', 'CUDA-capable device(s) is/are busy or unavailable'],
  2: ['CUDA_ERROR_OUT_OF_MEMORY', 'out of memory'],
  100: ['CUDA_ERROR_NO_DEVICE', 'no CUDA-capable device is detected'],
  719: ['CUDA_ERROR_LAUNCH_FAILED', 'unspecified launch failure'],
  802: ['CUDA_ERROR_SYSTEM_NOT_READY', 'system not yet initialized'],
  804: ['CUDA_ERROR_COMPAT_NOT_SUPPORTED_ON_DEVICE', 'forward compatibility was attempted on non supported HW'],
  803: ['CUDA_ERROR_SYSTEM_DRIVER_MISMATCH', 'system has unsupported display driver / cuda driver combination'],
}

/** what a call needs no context for */
const WITHOUT = /^cu(Init|DriverGet|DeviceGet|DevicePrimary|CtxSet|GetError)/

export function fakeDriver(card: FakeCard): Library & { called: string[]; met: { name: string; context: bigint }[] } {
  const { version = 13000, free = 70 * 2 ** 30, total = 80 * 2 ** 30, archs = [] } = card
  const cards = card.cards ?? (archs.length || 1)
  const called: string[] = []
  /** calls that are about a card, and whose context was current */
  const met: { name: string; context: bigint }[] = []
  let context = 0n
  let next = 0x1000n
  const int = (out: unknown, value: number) => void ((out as Int32Array)[0] = value)
  const long = (out: unknown, value: bigint) => void ((out as BigUint64Array)[0] = value)
  const answers: Record<string, (...args: unknown[]) => void> = {
    cuDriverGetVersion: (out) => int(out, version),
    cuDeviceGetCount: (out) => int(out, cards),
    cuDeviceGet: (out, ordinal) => int(out, ordinal as number),
    cuDeviceGetName: (out) => void (out as Uint8Array).set(Buffer.from('Fake 80GB\0')),
    cuDeviceGetPCIBusId: (out, _, device) => void (out as Uint8Array).set(Buffer.from(`0000:3${device as number}:00.0\0`)),
    cuDeviceGetAttribute(out, attribute, device) {
      const arch = archs[device as number] ?? 90
      const known: Record<number, number> = {
        18: card.integrated ?? 0,
        75: Math.floor(arch / 10),
        76: arch % 10,
        91: card.sameAddress ?? 1,
      }
      int(out, known[attribute as number] ?? 0)
    },
    cuDevicePrimaryCtxRetain: (out, device) => long(out, 0xc0n + BigInt(device as number)),
    cuCtxSetCurrent: (value) => void (context = value as bigint),
    cuMemGetInfo_v2: (a, b) => {
      long(a, BigInt(free))
      long(b, BigInt(total))
    },
    cuMemAlloc_v2: (out) => long(out, (next += 0x1000n)),
    cuMemHostAlloc: (out) => long(out, (next += 0x1000n)),
    cuGetErrorName: (status, out) => void ((out as string[])[0] = WORDS[status as number]?.[0] ?? `CUDA_ERROR_${status as number}`),
    cuGetErrorString: (status, out) => void ((out as string[])[0] = WORDS[status as number]?.[1] ?? 'an error'),
  }
  const func = (signature: string) => {
    const name = /cu[A-Z]\w+/.exec(signature)![0]
    const call = (...args: unknown[]) => {
      called.push(name)
      if (!WITHOUT.test(name)) met.push({ name, context })
      const tooMuch = /^cuMemHost(Alloc|Register)/.test(name) && (args[1] as number) > (card.pinnable ?? Number.POSITIVE_INFINITY)
      const status = tooMuch ? 2 : (card.fails?.[name] ?? 0)
      if (status === 0) answers[name]?.(...args)
      return status
    }
    return call as unknown as ForeignFunction
  }
  return { func, called, met }
}
