/** `--device`: what computes. Each device is loaded when it is asked for. */
import type { Device } from '../devices/device.ts'
import { SaqrError } from '../error.ts'

/**
 * @param name auto, cpu, reference, cuda or cuda:N. auto: the first CUDA card, and the CPU where there is none.
 * @throws SaqrError DEVICE_… where what was named can't be used
 */
export async function openDevice(name: string): Promise<Device> {
  if (name === 'cpu') return new (await import('../devices/cpu/device.ts')).CpuDevice()
  if (name === 'reference') return new (await import('../devices/reference/device.ts')).ReferenceDevice()
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
  return new (await import('../devices/cuda/device.ts')).CudaDevice({ ordinal })
}
