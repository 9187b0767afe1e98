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
}

const WORDS: Record<number, [string, string]> = {
  2: ['CUDA_ERROR_OUT_OF_MEMORY', 'out of memory'],
  100: ['CUDA_ERROR_NO_DEVICE', 'no CUDA-capable device is detected'],
  719: ['CUDA_ERROR_LAUNCH_FAILED', 'unspecified launch failure'],
  803: ['CUDA_ERROR_SYSTEM_DRIVER_MISMATCH', 'system has unsupported display driver / cuda driver combination'],
}

export function fakeDriver(card: FakeCard): Library & { called: string[] } {
  const { version = 13000, cards = 1, free = 70 * 2 ** 30, total = 80 * 2 ** 30 } = card
  const called: string[] = []
  let next = 0x1000n
  const int = (out: unknown, value: number) => void ((out as Int32Array)[0] = value)
  const long = (out: unknown, value: bigint) => void ((out as BigUint64Array)[0] = value)
  const answers: Record<string, (...args: unknown[]) => void> = {
    cuDriverGetVersion: (out) => int(out, version),
    cuDeviceGetCount: (out) => int(out, cards),
    cuDeviceGet: (out, ordinal) => int(out, ordinal as number),
    cuDeviceGetName: (out) => void (out as Uint8Array).set(Buffer.from('Fake 80GB\0')),
    cuDeviceGetAttribute: (out, attribute) => int(out, attribute === 75 ? 9 : attribute === 91 ? (card.sameAddress ?? 1) : 0),
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
      const status = card.fails?.[name] ?? 0
      if (status === 0) answers[name]?.(...args)
      return status
    }
    return call as unknown as ForeignFunction
  }
  return { func, called }
}
