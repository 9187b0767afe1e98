/** What a run has of its own on a card while another is queued behind it. */
import { expect, it } from 'vitest'
import { Card } from '../../src/devices/cuda/card.ts'
import { Driver } from '../../src/devices/cuda/driver.ts'
import { Flight } from '../../src/devices/cuda/flight.ts'
import { fakeDriver } from './fake-driver.ts'

/** pinned memory that is JavaScript's own */
class Pinning extends Card {
  pinned = new Uint8Array()

  override pin(bytes: number) {
    this.pinned = new Uint8Array(bytes)
    return { address: 0x5000n, bytes: this.pinned }
  }

  override unpin() {}
}

it('others are let in when results have left the places where they lie, and get none of them', async () => {
  const driver = fakeDriver({})
  const card = new Pinning(0, new Driver(driver))
  const flight = new Flight(card)
  const results = [{ at: 0x9000n, bytes: 8 }]
  driver.called.length = 0
  flight.load([{ view: Float32Array.of(1, 2), to: 0x8000n }], results)
  let before: string[] = []
  const brought = await flight.bring(results, () => (before = [...driver.called]))
  expect(before).toEqual(['cuMemcpyHtoDAsync_v2', 'cuMemcpyAsync', 'cuEventRecordWithFlags'])
  expect([...new Float32Array(card.pinned.buffer, 0, 2)]).toEqual([1, 2])
  card.pinned.fill(7) // the next run's
  expect([...brought[0]!]).toEqual(Array(8).fill(0))
})
