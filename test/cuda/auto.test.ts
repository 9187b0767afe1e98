/** What `auto` and `saqr doctor` make of the cards that a driver shows. The driver is made up. */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { doctor } from '../../src/cli/verbs/doctor.ts'
import type { Library } from '../../src/devices/ffi.ts'
import { openDevice } from '../../src/devices/open.ts'
import { SaqrError } from '../../src/error.ts'
import { commandLine } from '../cli/saqr.ts'
import { type FakeCard, fakeDriver } from './fake-driver.ts'

let driver: Library
const machine = (card: FakeCard) => void (driver = fakeDriver(card))
vi.mock('../../src/devices/cuda/libraries.ts', async (original) => ({
  ...(await original<typeof import('../../src/devices/cuda/libraries.ts')>()),
  openDriver: () => driver,
  openLibrary(name: string) {
    throw new SaqrError('DEVICE_CUDA_LIBRARY', `no ${name}`)
  },
}))

beforeEach(() => vi.stubEnv('CUDA_VISIBLE_DEVICES', undefined))
afterEach(() => vi.unstubAllEnvs())

describe('auto', () => {
  it('goes on with the CPU where no card is visible, or none was to be', async () => {
    machine({ fails: { cuInit: 100 } })
    for (const visible of [undefined, '', '-1', 'NoDevFiles']) {
      vi.stubEnv('CUDA_VISIBLE_DEVICES', visible)
      const device = await openDevice('auto')
      expect(device.describe().kind).toBe('cpu')
      device.dispose()
    }
  })

  it.each<[string, FakeCard, string?]>([
    ['DEVICE_CUDA_HIDDEN', { cards: 0 }, '3'],
    ['DEVICE_CUDA_HIDDEN', { fails: { cuInit: 100 } }, 'GPU-8932f937'],
    ['DEVICE_CUDA_DRIVER', { fails: { cuInit: 804 } }],
    ['DEVICE_CUDA_CARD', { archs: [61] }],
    ['DEVICE_CUDA_BUSY', { fails: { cuDevicePrimaryCtxRetain: 46 } }],
    ['DEVICE_CUDA_LIBRARY', { archs: [61, 90] }],
  ])('passes over no card that is there: %s', async (code, card, visible) => {
    machine(card)
    vi.stubEnv('CUDA_VISIBLE_DEVICES', visible)
    await expect(openDevice('auto')).rejects.toMatchObject({ code })
  })
})

describe('doctor', () => {
  const saqr = (...args: string[]) => commandLine({ doctor })('doctor', '--no_probe', ...args)

  it('lists every card as --device and as nvidia-smi name it, those that can’t be used with why', async () => {
    machine({ archs: [61, 90, 120] })
    const { out, code } = await saqr()
    expect(code).toBe(0)
    expect(out).toMatch(/✓ cuda {6}cuda:0 Fake 80GB \(0000:30:00\.0\), sm_61\n {12}DEVICE_CUDA_CARD: .* Use cuda:1 .*--device cpu\.\n/)
    expect(out).toMatch(
      /cuda:1 Fake 80GB \(0000:31:00\.0\), sm_90a, \d+ multiprocessors, driver for CUDA 13\.0\n {12}80\.0 GiB of memory, 70\.0 GiB free\n/,
    )
    expect(out).toMatch(/cuda:2 Fake 80GB \(0000:32:00\.0\), sm_120a/)
    expect(out).toMatch(/– cuda nvrtc DEVICE_CUDA_LIBRARY/)
  })

  it('says what is wrong where there is none, or none that can be used', async () => {
    machine({ cards: 0 })
    vi.stubEnv('CUDA_VISIBLE_DEVICES', '5')
    expect((await saqr()).out).toMatch(/– cuda {6}DEVICE_CUDA_HIDDEN: .*set to '5'.*--device cpu/)
    machine({ archs: [61] })
    expect((await saqr()).out).toMatch(/– cuda {6}DEVICE_CUDA_CARD: /)
  })
})
