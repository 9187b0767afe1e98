/** Training in f32 against the reference device (one step's gradients) and the CPU (thirty steps), and against itself: the same bits. */
import { join } from 'node:path'
import { CpuDevice } from '../../src/devices/cpu/device.ts'
import { CudaDevice } from '../../src/devices/cuda/device.ts'
import { ReferenceDevice } from '../../src/devices/reference/device.ts'
import { distance as gradientDistance } from '../../test/parity/family-case.ts'
import { families, largest, note } from './findings.ts'
import { on, type Setup } from './train.ts'

export async function checkTraining(): Promise<void> {
  const base: Omit<Setup, 'folder'> = { dtype: 'f32', loadIn4bit: false, eightBit: false, policy: 'all', quantum: 128 }
  for (const name of ['llama-gqa-tied', 'llama-biases']) {
    for (const loadIn4bit of [false, true]) {
      const setup = { ...base, folder: join(families, name), loadIn4bit }
      const what = `${name}, ${loadIn4bit ? 'NF4 (nested)' : 'f32'} base`
      const [cuda, reference] = [await on(new CudaDevice(), setup, 1), await on(new ReferenceDevice(), setup, 1)]
      for (const [key, g] of cuda.gradients)
        note(`${what}: d${key} against the reference`, gradientDistance(g, reference.gradients.get(key)!), 1e-5)
      note(`${what}: loss against the reference`, Math.abs(cuda.losses[0]! - reference.losses[0]!), 1e-5)
      for (const eightBit of [false, true]) {
        const [a, b] = [await on(new CudaDevice(), { ...setup, eightBit }, 30), await on(new CpuDevice(), { ...setup, eightBit }, 30)]
        const curve = `${what}, ${eightBit ? '8-bit ' : ''}AdamW, 30 steps`
        note(
          `${curve}: losses against the CPU's`,
          largest(a.losses, b.losses),
          1e-4,
          `${a.losses[0]!.toFixed(4)} -> ${a.losses[29]!.toFixed(4)}`,
        )
        note(`${curve}: gradient norms against the CPU's, relative`, largest(a.norms, b.norms) / Math.max(...b.norms), 1e-3)
        const [again, lean] = [
          await on(new CudaDevice(), { ...setup, eightBit }, 30),
          await on(new CudaDevice(), { ...setup, eightBit, policy: 'recompute' }, 30),
        ]
        note(`${curve}: the same bits again`, largest(a.losses, again.losses), 0)
        note(`${curve}: the same bits when recomputed`, largest(a.losses, lean.losses), 0)
      }
    }
  }
}
