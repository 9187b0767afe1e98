/** What computes, by name. Each device is loaded when it is asked for. */

import { SaqrError } from '../error.ts'
import { kind, take } from '../hub/arguments.ts'
import type { Device } from './device.ts'

const known = kind('auto, cpu, cuda, cuda:N or reference', (v) => typeof v === 'string' && /^(auto|cpu|reference|cuda(:\d+)?)$/.test(v))

/**
 * @param name auto, cpu, reference, cuda or cuda:N. auto: the first CUDA card, and the CPU where there is none.
 * @throws SaqrError DEVICE_… where what was named can't be used
 */
export async function openDevice(name: string): Promise<Device> {
  take(name, 'device', known)
  if (name === 'cpu') return new (await import('./cpu/device.ts')).CpuDevice()
  if (name === 'reference') return new (await import('./reference/device.ts')).ReferenceDevice()
  if (name !== 'auto') return await cuda(Number(name.split(':')[1] ?? 0))
  try {
    return await cuda(0)
  } catch (error) {
    // no driver or no card: a machine without a GPU. A card whose libraries are missing is told, not passed over.
    if (error instanceof SaqrError && error.code === 'DEVICE_CUDA_MISSING') return await openDevice('cpu')
    throw error
  }
}

async function cuda(ordinal: number): Promise<Device> {
  return new (await import('./cuda/device.ts')).CudaDevice({ ordinal })
}
