/** What goes wrong with drivers and cards: one clear error each. The driver is made up, so that every failure can be had. */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { Card } from '../../src/devices/cuda/card.ts'
import { Driver } from '../../src/devices/cuda/driver.ts'
import type { Launcher } from '../../src/devices/cuda/launcher.ts'
import { CudaPlan } from '../../src/devices/cuda/plan.ts'
import type { CudaStore } from '../../src/devices/cuda/store.ts'
import type { Plan } from '../../src/graph/plan.ts'
import { type FakeCard, fakeDriver } from './fake-driver.ts'

const open = (card: FakeCard, ordinal = 0) => new Card(ordinal, new Driver(fakeDriver(card)))
const error = (code: string, message: RegExp) => expect.objectContaining({ code, message: expect.stringMatching(message) })

beforeEach(() => vi.stubEnv('CUDA_VISIBLE_DEVICES', undefined))
afterEach(() => vi.unstubAllEnvs())

describe('opening', () => {
  it('a driver that is too old: what it is for, what is needed, before anything it may not have is looked up', () => {
    const old = fakeDriver({ version: 11040 })
    expect(() => new Driver(old)).toThrow(
      error('DEVICE_CUDA_DRIVER', /is for CUDA 11\.4; saqr needs one for CUDA 12\.0 or later.*Update it/),
    )
    expect(old.called).toEqual(['cuDriverGetVersion'])
    expect(new Driver(fakeDriver({ version: 12000 })).version).toBe(12000)
  })

  it('a driver that does not work is told and is not taken for none', () => {
    expect(() => open({ fails: { cuInit: 803 } })).toThrow(
      error('DEVICE_CUDA_DRIVER', /cuInit: system has unsupported.*restart the machine/),
    )
    expect(() => open({ fails: { cuInit: 100 } })).toThrow(error('DEVICE_CUDA_MISSING', /There is no CUDA card: none is visible. Check/))
  })

  it('a card beyond those that are visible: how many are, and what hides the others', () => {
    expect(open({ cards: 2 }, 1).name).toBe('Fake 80GB')
    expect(() => open({ cards: 2 }, 3)).toThrow(
      error('DEVICE_CUDA_MISSING', /no CUDA card 3: 2 are visible, cuda:0 to cuda:1\. Check nvidia-smi/),
    )
    vi.stubEnv('CUDA_VISIBLE_DEVICES', '2')
    expect(() => open({ cards: 1 }, 1)).toThrow(
      error('DEVICE_CUDA_MISSING', /one is visible, cuda:0; CUDA_VISIBLE_DEVICES is set to '2'\. Unset/),
    )
    vi.stubEnv('CUDA_VISIBLE_DEVICES', '')
    expect(() => open({ fails: { cuInit: 100 } })).toThrow(
      error('DEVICE_CUDA_MISSING', /none is visible; CUDA_VISIBLE_DEVICES is set to ''/),
    )
  })

  it('a card that others have filled', () => {
    expect(() => open({ fails: { cuDevicePrimaryCtxRetain: 2 } })).toThrow(error('MEMORY_REFUSED', /not even the memory free.*nvidia-smi/))
  })
})

describe('memory', () => {
  it('refused: for what, how much is free, and who holds the rest', () => {
    const fails: Record<string, number> = {}
    const card = open({ free: 10 * 2 ** 30, fails })
    card.free(card.alloc(2 * 2 ** 30, 'something'))
    card.alloc(20 * 2 ** 30, 'weights')
    fails.cuMemAlloc_v2 = 2
    expect(() => card.alloc(30 * 2 ** 30, 'the arena')).toThrow(
      error(
        'MEMORY_REFUSED',
        /10\.00 GiB free of 80\.00 GiB, too little for the arena \(30\.00 GiB\): this run holds 20\.00 GiB, other processes and the driver 50\.00 GiB.*smaller memory/,
      ),
    )
  })
})

describe('pinned host memory', () => {
  it.each([
    [1, ['cuMemHostRegister_v2', 'cuMemHostUnregister']],
    [0, ['cuMemHostAlloc', 'cuMemFreeHost']],
  ] as const)('is registered where that keeps its address (%i), and given back as it was taken', (sameAddress, calls) => {
    const driver = fakeDriver({ sameAddress })
    const card = new Card(0, new Driver(driver))
    const at = card.allocHost(5 << 20, 'what is offloaded')
    card.freeHost(at)
    expect(driver.called.filter((name) => /Host/.test(name))).toEqual(calls)
  })

  it('that can’t be pinned is told with what it was for', () => {
    const card = open({ fails: { cuMemHostRegister_v2: 2 } })
    expect(() => card.allocHost(64 * 2 ** 20, 'what is offloaded')).toThrow(
      error(
        'MEMORY_REFUSED',
        /^the host has too little memory that can be pinned for what is offloaded \(0\.06 GiB\).*cuMemHostRegister.*out of memory/,
      ),
    )
    const broken = open({ fails: { cuMemHostRegister_v2: 1 } })
    expect(() => broken.allocHost(4096, 'x')).toThrow(error('DEVICE_CUDA', /cuMemHostRegister/))
  })
})

/** one op, y = x + x, of 8 × 64 */
const plan: Plan = {
  steps: [{ op: 'add', name: 'model.layers.0', attrs: {}, inputs: [0, 0].map((buffer) => at(buffer)), outputs: [at(1)], scratch: null }],
  buffers: [buffer('x', 0), buffer('y', 4096)],
  segments: [{ name: 'forward', from: 0, to: 1 }],
  arena: 8192,
} as unknown as Plan
function at(buffer: number) {
  return { buffer, offset: 0, rows: 8, cols: 64, stride: 64 }
}
function buffer(name: string, at: number) {
  return { name, space: 'arena', at, rows: 8, cols: 64, dtype: 'f32', bytes: 2048 }
}

describe('a card that is lost', () => {
  const lost = () => {
    const fails: Record<string, number> = {}
    const card = open({ fails })
    const launcher = { launch: () => card.driver.call('launch') } as unknown as Launcher
    const loaded = new CudaPlan(plan, false, card, {} as CudaStore, launcher, { arena: 0x1000n, host: 0n, generation: 0 }, (free) => free())
    return { fails, card, loaded }
  }

  it('is told with the op and its shapes', () => {
    const { fails, loaded } = lost()
    loaded.runSteps(0, 1)
    fails.cuStreamSynchronize = 719
    expect(() => loaded.runSteps(0, 1)).toThrow(
      error(
        'DEVICE_CUDA_LOST',
        /^add of model\.layers\.0 \(8 × 64 f32, 8 × 64 f32 -> 8 × 64 f32; op 0 of the plan\): cuStreamSynchronize: unspecified launch failure \(CUDA_ERROR_LAUNCH_FAILED\)\. This process can't use the card/,
      ),
    )
    fails.cuLaunchKernel = 1
    expect(() => loaded.runSteps(0, 1)).toThrow(error('DEVICE_CUDA', /^add of model\.layers\.0/))
  })

  it('of a graph the segments are told', () => {
    const { card, loaded } = lost()
    const cause = card.driver.error('streamSynchronize', 719)
    expect(loaded.explainGraphs(['forward', 'head', 'head'], cause)).toEqual(
      error('DEVICE_CUDA_LOST', /^one of the 1 ops of forward, head: cuStreamSynchronize/),
    )
  })

  it('can be disposed of: what it no longer takes back hides no error', () => {
    const { fails, card, loaded } = lost()
    const address = card.alloc(1024, 'x')
    loaded.enqueue('forward') // which leaves a graph
    for (const name of ['cuMemFree_v2', 'cuGraphExecDestroy', 'cuMemFreeHost', 'cuStreamSynchronize']) fails[name] = 719
    expect(() => card.synchronize()).toThrow(error('DEVICE_CUDA_LOST', /launch failure/))
    card.free(address)
    loaded.dispose()
    card.dispose()

    const whole = lost()
    whole.fails.cuMemFree_v2 = 1
    expect(() => whole.card.free(1n)).toThrow(error('DEVICE_CUDA', /cuMemFree/))
  })
})
