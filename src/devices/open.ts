/** What computes, by name. Each device is loaded when it is asked for. */

import { option, SaqrError, say } from '../error.ts'
import { type Checks, kind, orNull, take, takeOptions, whole } from '../hub/arguments.ts'
import type { Device } from './device.ts'

const known = kind('auto, cpu, cuda, cuda:N or reference', (v) => typeof v === 'string' && /^(auto|cpu|reference|cuda(:\d+)?)$/.test(v))

/** Options of openDevice. */
export interface DeviceOptions {
  /** of the CPU; default: as many as processors that the process may use (affinity, quota of its control group) */
  threads?: number | null
}
/** more than any machine's processors is a slip of the pen */
const OPTIONS: Checks<DeviceOptions> = { threads: orNull(whole(1, 1024)) }

/**
 * @param name auto, cpu, reference, cuda or cuda:N. cuda: the first CUDA card that saqr can use; auto: the same, and the CPU where there is none.
 * @throws SaqrError DEVICE_… where what was named can't be used, OPTION_… where an option is not the device's
 */
export async function openDevice(name: string, options: DeviceOptions = {}): Promise<Device> {
  take(name, 'device', known)
  const threads = takeOptions(options, 'openDevice', OPTIONS).threads ?? undefined
  if (name === 'cpu') return new (await import('./cpu/device.ts')).CpuDevice({ threads })
  if (threads !== undefined && name !== 'auto') throw ofTheCpu(name)
  if (name === 'reference') return new (await import('./reference/device.ts')).ReferenceDevice()
  if (name !== 'auto') return await cuda(name === 'cuda' ? undefined : Number(name.slice('cuda:'.length)))
  let card: Device
  try {
    card = await cuda()
  } catch (error) {
    // no driver or no card: a machine without a GPU. A card whose libraries are missing, or that a slip hides, is told, not passed over.
    if (error instanceof SaqrError && error.code === 'DEVICE_CUDA_MISSING') return await openDevice('cpu', options)
    throw error
  }
  if (threads === undefined) return card
  card.dispose()
  throw ofTheCpu('the CUDA card that auto chose')
}

const ofTheCpu = (chosen: string) =>
  new SaqrError(
    'OPTION_INVALID',
    say`${option('threads')} are the CPU's; the device is ${chosen}: leave it out, or use ${option('device')} cpu`,
  )

async function cuda(ordinal?: number): Promise<Device> {
  return new (await import('./cuda/device.ts')).CudaDevice(ordinal === undefined ? {} : { ordinal })
}
