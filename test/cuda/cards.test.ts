/** Which card is taken, which are told, and whose context a call meets. The driver is made up. */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { Card } from '../../src/devices/cuda/card.ts'
import { chosenCard, visibleCards } from '../../src/devices/cuda/cards.ts'
import { describeCard } from '../../src/devices/cuda/description.ts'
import { Driver } from '../../src/devices/cuda/driver.ts'
import { type FakeCard, fakeDriver } from './fake-driver.ts'

const open = (card: FakeCard, ordinal?: number) => new Card(ordinal, new Driver(fakeDriver(card)))
const error = (code: string, message: RegExp) => expect.objectContaining({ code, message: expect.stringMatching(message) })

beforeEach(() => vi.stubEnv('CUDA_VISIBLE_DEVICES', undefined))
afterEach(() => vi.unstubAllEnvs())

describe('the card that is taken', () => {
  it('is the first that saqr can use; an older one is refused by name, with those that do', () => {
    const archs = [61, 89, 120]
    expect(open({ archs }).ordinal).toBe(1)
    expect(open({ archs }, 2).arch).toBe(120)
    expect(() => open({ archs }, 0)).toThrow(
      error(
        'DEVICE_CUDA_CARD',
        /compute capability 6\.1; saqr needs 7\.5.*Use cuda:1 \(Fake 80GB\) or cuda:2 \(Fake 80GB\), or the CPU with/,
      ),
    )
    expect(() => open({ archs: [70] })).toThrow(error('DEVICE_CUDA_CARD', /capability 7\.0.*or later\. Use the CPU with device cpu\.$/))
  })

  it('is told as nvidia-smi shows it', () => {
    expect(visibleCards(new Driver(fakeDriver({ archs: [90, 75] }))).map(({ ordinal, bus, arch }) => [ordinal, bus, arch])).toEqual([
      [0, '0000:30:00.0', 90],
      [1, '0000:31:00.0', 75],
    ])
  })

  it.each([
    // a list that means a card and names none: a slip, that `auto` tells too
    ['7', 'DEVICE_CUDA_HIDDEN'],
    ['GPU-00000000-0000-0000-0000-000000000000', 'DEVICE_CUDA_HIDDEN'],
    ['MIG-GPU-0/7/0', 'DEVICE_CUDA_HIDDEN'],
    ['0,0', 'DEVICE_CUDA_HIDDEN'],
    // what says: none
    ['', 'DEVICE_CUDA_MISSING'],
    ['-1', 'DEVICE_CUDA_MISSING'],
    ['-1,0', 'DEVICE_CUDA_MISSING'],
    ['NoDevFiles', 'DEVICE_CUDA_MISSING'],
    [undefined, 'DEVICE_CUDA_MISSING'],
  ])('with CUDA_VISIBLE_DEVICES %j that leaves none: %s', (visible, code) => {
    vi.stubEnv('CUDA_VISIBLE_DEVICES', visible)
    const shown = visible === undefined ? /none is visible\. Check nvidia-smi/ : /is set to '.*'\. Unset it or name the cards/
    for (const card of [{ fails: { cuInit: 100 } }, { cards: 0 }]) expect(() => open(card)).toThrow(error(code, shown))
  })
})

describe('what a driver refuses at the start comes with what helps', () => {
  it.each([
    [802, /system not yet initialized.*fabric manager/],
    [803, /driver combination.*cuda-compat/],
    [804, /forward compatibility.*newer than the machine's driver.*cuda-compat/],
    [999, /modprobe nvidia_uvm.*nvidia-smi/],
    [3, /check nvidia-smi, restart the machine/],
  ])('cuInit %i', (status, message) => {
    expect(() => open({ fails: { cuInit: status } })).toThrow(error('DEVICE_CUDA_DRIVER', message))
  })

  it('a card that another process has for itself is busy, not lost', () => {
    expect(() => open({ fails: { cuDevicePrimaryCtxRetain: 46 } })).toThrow(
      error('DEVICE_CUDA_BUSY', /Fake 80GB is taken: another process has it for itself.*compute mode.*busy or unavailable/),
    )
    expect(() => open({ fails: { cuDevicePrimaryCtxRetain: 999 } })).toThrow(error('DEVICE_CUDA_LOST', /cuDevicePrimaryCtxRetain/))
  })
})

describe('two cards in one process', () => {
  it('each call meets the context of the card that it is for', () => {
    const driver = fakeDriver({ archs: [90, 89] })
    const [first, second] = [new Card(0, new Driver(driver)), new Card(1, new Driver(driver))]
    driver.met.length = 0
    const at = first.alloc(1024, 'x')
    second.synchronize()
    first.free(at)
    second.zero(second.alloc(64, 'y'), 64)
    expect(driver.met).toEqual([
      { name: 'cuMemAlloc_v2', context: 0xc0n },
      { name: 'cuStreamSynchronize', context: 0xc1n },
      { name: 'cuMemFree_v2', context: 0xc0n },
      { name: 'cuMemAlloc_v2', context: 0xc1n },
      { name: 'cuMemsetD8Async', context: 0xc1n },
    ])
    // alone it costs nothing
    driver.called.length = 0
    for (let i = 0; i < 3; i++) second.synchronize()
    expect(driver.called).toEqual(['cuStreamSynchronize', 'cuStreamSynchronize', 'cuStreamSynchronize'])

    // one that was closed leaves the other at work, and a new one begins with a context of its own
    second.dispose()
    driver.met.length = 0
    first.synchronize()
    expect(driver.met).toEqual([{ name: 'cuStreamSynchronize', context: 0xc0n }])
    new Card(1, new Driver(driver)).synchronize()
    expect(driver.met.at(-1)).toEqual({ name: 'cuStreamSynchronize', context: 0xc1n })
  })
})

describe('memory', () => {
  it('of a card that shares the host’s: what files take of it is free, and nothing is planned to lie apart', () => {
    vi.spyOn(process, 'availableMemory').mockReturnValue(50 * 2 ** 30)
    const [free, total] = [2 * 2 ** 30, 120 * 2 ** 30]
    const shared = open({ integrated: 1, free, total })
    expect(shared.memory()).toEqual({ free: 50 * 2 ** 30, total })
    expect(describeCard(shared, '13.0', 0).hostMemory).toBe(0)
    const own = open({ free, total })
    expect(own.memory()).toEqual({ free, total })
    expect(describeCard(own, '13.0', 0).hostMemory).toBe(25 * 2 ** 30)
    vi.restoreAllMocks()
  })

  it('of the host that was refused is not planned with again', () => {
    vi.spyOn(process, 'availableMemory').mockReturnValue(50 * 2 ** 30)
    const card = open({ pinnable: 1 << 30, sameAddress: 0 })
    const host = () => describeCard(card, '13.0', 0).hostMemory
    expect(host()).toBe(25 * 2 ** 30)
    expect(() => card.allocHost(3 * 2 ** 30, 'what is offloaded')).toThrow(error('MEMORY_REFUSED', /pinned for what is offloaded \(3\.00/))
    expect(host()).toBe(1.5 * 2 ** 30)
    expect(() => card.allocHost(1.5 * 2 ** 30, 'what is offloaded')).toThrow(error('MEMORY_REFUSED', /pinned/))
    card.freeHost(card.allocHost(0.75 * 2 ** 30, 'what is offloaded'))
    vi.restoreAllMocks()
    expect(() => open({ pinnable: 1 << 20 }).pin(16 << 20)).toThrow(
      error('MEMORY_REFUSED', /too little memory that can be pinned for what crosses to the card \(0\.02 GiB\)/),
    )
  })
})

it('no card at all is what it was', () => {
  expect(() => chosenCard([], 1)).toThrow(error('DEVICE_CUDA_MISSING', /no CUDA card 1: none is visible/))
})
