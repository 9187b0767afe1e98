/** Cards as users have them: kernels that were kept damaged or can't be kept, and several devices in one process, on as many cards as there are. */
import { mkdtempSync, readdirSync, rmSync, statSync, truncateSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { visibleCards } from '../../src/devices/cuda/cards.ts'
import { CudaDevice } from '../../src/devices/cuda/device.ts'
import { Driver } from '../../src/devices/cuda/driver.ts'
import { families, note } from './findings.ts'
import { on, type Setup, type Trained, train } from './train.ts'

const STEPS = 3
const setup: Setup = {
  folder: join(families, 'llama-gqa-tied'),
  dtype: 'bf16',
  loadIn4bit: true,
  eightBit: true,
  policy: 'all',
  quantum: 128,
}

/** trained numbers that are of other bits */
function others(a: Trained, b: Trained): number {
  let count = 0
  for (const [name, values] of a.parameters) {
    const same = b.parameters.get(name)!
    count += values.reduce((sum, x, i) => sum + (Object.is(x, same[i]) ? 0 : 1), 0)
  }
  return count
}

export async function checkCards(): Promise<void> {
  const before = process.env.XDG_CACHE_HOME
  const folder = mkdtempSync(join(tmpdir(), 'saqr-cards-'))
  const alone = await on(new CudaDevice(), setup, STEPS)
  try {
    process.env.XDG_CACHE_HOME = folder
    note('kernels compiled anew: other bits', others(alone, await on(new CudaDevice(), setup, STEPS)), 0)
    const kept = join(folder, 'saqr', 'cuda')
    const files = readdirSync(kept).map((name) => ({ path: join(kept, name), bytes: statSync(join(kept, name)).size }))
    note('kernels that are kept: none', files.length > 0 ? 0 : 1, 0)
    for (const { path, bytes } of files) truncateSync(path, bytes >> 1)
    note('kernels that were cut off: other bits', others(alone, await on(new CudaDevice(), setup, STEPS)), 0)
    note('kernels that were cut off: not mended', files.filter(({ path, bytes }) => statSync(path).size !== bytes).length, 0)
    process.env.XDG_CACHE_HOME = '/proc/none'
    note('kernels that can’t be kept: other bits', others(alone, await on(new CudaDevice(), setup, STEPS)), 0)
  } finally {
    if (before === undefined) delete process.env.XDG_CACHE_HOME
    else process.env.XDG_CACHE_HOME = before
    rmSync(folder, { recursive: true })
  }

  // of one kind, so that the bits are the same; one card takes both
  const cards = visibleCards(new Driver())
  const like = cards.filter(({ name }) => name === cards[0]!.name)
  const ordinals = like.length > 1 ? like.slice(0, 2).map(({ ordinal }) => ordinal) : [0, 0]
  const devices = ordinals.map((ordinal) => new CudaDevice({ ordinal }))
  try {
    const trained = await Promise.all(devices.map((device) => train(device, setup, STEPS)))
    trained.forEach((one, i) => {
      note(`devices at once on cards ${ordinals.join(' and ')}: other bits than alone, device ${i}`, others(alone, one), 0)
    })
  } finally {
    for (const device of devices) device.dispose()
  }
  note('devices at once: one is left that works', others(alone, await on(new CudaDevice(), setup, STEPS)), 0)
}
