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
  await checkDropout({ ...base, folder: join(families, 'llama-gqa-tied'), dropout: 0.25 })
}

/** The mask is the same everywhere: drawn within products with few ranks in bf16, in f32 before them. */
async function checkDropout(setup: Setup): Promise<void> {
  const reference = await on(new ReferenceDevice(), setup, 1)
  const plain = await on(new ReferenceDevice(), { ...setup, dropout: 0 }, 1)
  for (const [key, g] of (await on(new CudaDevice(), setup, 1)).gradients)
    note(`dropout, f32: d${key} against the reference`, gradientDistance(g, reference.gradients.get(key)!), 1e-5)
  const bf16 = { ...setup, dtype: 'bf16' as const }
  const [cuda, lean] = [await on(new CudaDevice(), bf16, 8), await on(new CudaDevice(), { ...bf16, policy: 'recompute' as const }, 8)]
  // bf16 rounds to 2⁻⁹ at some tens of ops, a few percent in all; another mask is off by more than half
  for (const [key, g] of cuda.gradients) {
    const right = reference.gradients.get(key)!
    note(`dropout, bf16: d${key} against the reference`, gradientDistance(g, right), 0.1)
    note(`dropout: d${key} without it is another`, gradientDistance(plain.gradients.get(key)!, right) > 0.2 ? 0 : 1, 0)
  }
  note('dropout, bf16: the same bits when recomputed', largest(cuda.losses, lean.losses), 0)
}
