/** The devices of this machine that the suite runs on: its processor, also as an older one; an NVIDIA card where there is one. */
import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { CpuDevice } from '../../src/devices/cpu/device.ts'
import { CudaDevice } from '../../src/devices/cuda/device.ts'
import type { Device } from '../../src/devices/device.ts'
import { SaqrError } from '../../src/error.ts'

export interface Setup {
  name: string
  open: () => Device
  /** setups of the same word give the same bits, however many their threads */
  bits: string
}

/** the variant that any x86-64 processor since 2013 runs */
const PORTABLE = 'x86-64-v3'
/** tiles, in C++: bit for bit what a processor that has them computes */
const EMULATED = 'x86-64-amx-emulated'

/** The variant that a device runs, out of its label: what was left out may stand behind it. */
export const variantIn = (label: string) => /, (\S+)/.exec(label)![1]!

/** Builds what is missing. */
export function setups(): Setup[] {
  const own = new CpuDevice({ threads: 1 })
  const ran = variantIn(own.describe().label)
  own.dispose()
  const list: Setup[] = [1, 2, 3].map((threads) => ({
    name: `CPU, ${threads} threads`,
    open: () => new CpuDevice({ threads }),
    bits: ran === 'x86-64-amx' ? EMULATED : 'own',
  }))
  const variant = (name: string, threads: number) => {
    execFileSync(process.execPath, ['native/build.mjs', '--variant', name, '--quiet'], { stdio: 'inherit' })
    list.push({ name: `CPU, ${name}, ${threads} threads`, open: () => new CpuDevice({ threads, variant: name }), bits: name })
  }
  // a processor without AVX-512 runs it already
  if (process.arch === 'x64' && ran !== PORTABLE) variant(PORTABLE, 2)
  // an emulated arm64 reads of the processor beneath it
  if (process.arch === 'x64' && existsSync('/proc/cpuinfo') && /\bavx512_bf16\b/.test(readFileSync('/proc/cpuinfo', 'utf8'))) {
    variant(EMULATED, 3)
    variant(EMULATED, 1)
  }
  if (hasCard()) list.push({ name: 'CUDA', open: () => new CudaDevice(), bits: 'CUDA' })
  return list
}

/** one setup for each way to compute, whatever its threads */
export function distinctSetups(): Setup[] {
  const all = setups()
  return all.filter(({ bits }, i) => all.findIndex((one) => one.bits === bits) === i)
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
