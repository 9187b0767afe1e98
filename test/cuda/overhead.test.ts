/** What a card's driver and libraries take is a line each, and no more than was measured in all. */
import { describe, expect, it } from 'vitest'
import { Card, type OwnBytes, openedWithin } from '../../src/devices/cuda/card.ts'
import { describeCard } from '../../src/devices/cuda/description.ts'
import { Driver } from '../../src/devices/cuda/driver.ts'
import { WORKSPACE } from '../../src/devices/cuda/matmul.ts'
import { overheadBytes } from '../../src/devices/device.ts'
import { SaqrError } from '../../src/error.ts'
import { fakeDriver } from './fake-driver.ts'

it('a context that nobody measures counts as an H100’s', () => {
  const card = new Card(0, new Driver(fakeDriver({})))
  expect(card.contextBytes).toBeNull()
  const { overhead } = describeCard(card, '13.0', 0)
  expect(overhead.map(({ kind }) => kind)).toEqual([
    'the driver’s context',
    'cuBLASLt’s workspace',
    'kernels and streams',
    'captured graphs',
    'weights rounded up to pages',
  ])
  // 576 to 616 MiB were there beside arena and store in the runs of bench/results/overhead-h200.txt, up to 696 in those of bench:cuda
  expect(overheadBytes(overhead) / 2 ** 20).toBe(620)
  expect(overhead[1]!.bytes).toBe(WORKSPACE)
})

describe('what opening a context takes', () => {
  /** a process that holds so much before and after */
  const holding = (before: number, after: number | Error) => {
    const closed: boolean[] = []
    let opened = false
    const watching = (): OwnBytes => ({
      now() {
        if (opened && after instanceof Error) throw after
        return opened ? (after as number) : before
      },
      total: 80e9,
      close: () => void closed.push(true),
    })
    return { bytes: () => openedWithin(watching, () => void (opened = true)), closed }
  }

  it.each<[string, number, number | Error, number | null]>([
    ['is measured', 0, 518e6, 518e6],
    ['is not known where the process had something there before', 100e6, 618e6, null],
    ['nor where processes are not told apart', 0, 0, null],
    ['nor where the library gives a number that is none', 0, 2 ** 64, null],
    ['nor where it fails in between', 0, new Error('nvml'), null],
  ])('%s', (_, before, after, expected) => {
    const { bytes, closed } = holding(before, after)
    expect(bytes()).toBe(expected)
    expect(closed).toEqual([true])
  })

  it('nor where there is no such library; a context that is refused is told', () => {
    const none = () => {
      throw new Error('none')
    }
    expect(openedWithin(none, () => {})).toBeNull()
    const refused = () => {
      throw new SaqrError('MEMORY_REFUSED', 'taken')
    }
    expect(() => openedWithin(none, refused)).toThrow('taken')
  })

  it('counts in the table, and is given back where the rest of the card can’t be opened', () => {
    const card = new Card(0, new Driver(fakeDriver({})))
    Object.defineProperty(card, 'contextBytes', { value: 300 << 20 })
    expect(describeCard(card, '13.0', 0).overhead[0]!.bytes).toBe(300 << 20)
    const driver = fakeDriver({ fails: { cuStreamCreate: 2 } })
    expect(() => new Card(0, new Driver(driver))).toThrow()
    expect(driver.called.filter((name) => /PrimaryCtx/.test(name))).toEqual(['cuDevicePrimaryCtxRetain', 'cuDevicePrimaryCtxRelease_v2'])
  })
})
