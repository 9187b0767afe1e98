/** The devices of this machine that the suite runs on: its processor, also as an older one; an NVIDIA card where there is one. */
import { execFileSync } from 'node:child_process'
import { CpuDevice } from '../../src/devices/cpu/device.ts'
import { CudaDevice } from '../../src/devices/cuda/device.ts'
import type { Device } from '../../src/devices/device.ts'
import { SaqrError } from '../../src/error.ts'

export interface Setup {
  name: string
  open: () => Device
  /** its bits are those of the setup before it */
  sameBits?: boolean
}

/** the variant that any x86-64 processor since 2013 runs */
const PORTABLE = 'x86-64-v3'

/** Builds what is missing. */
export function setups(): Setup[] {
  const list: Setup[] = [1, 2, 3].map((threads) => ({
    name: `CPU, ${threads} threads`,
    open: () => new CpuDevice({ threads }),
    sameBits: threads > 1,
  }))
  if (process.arch === 'x64') {
    execFileSync(process.execPath, ['native/build.mjs', '--variant', PORTABLE, '--quiet'], { stdio: 'inherit' })
    list.push({ name: `CPU, ${PORTABLE}`, open: () => new CpuDevice({ threads: 2, variant: PORTABLE }) })
  }
  if (hasCard()) list.push({ name: 'CUDA', open: () => new CudaDevice() })
  return list
}

/** false without a driver or a card; anything else that is wrong with it is an error */
function hasCard(): boolean {
  try {
    new CudaDevice().dispose()
    return true
  } catch (error) {
    if (error instanceof SaqrError && error.code === 'DEVICE_CUDA_MISSING') {
      console.info(`left out: CUDA (${error.message})`)
      return false
    }
    throw error
  }
}
