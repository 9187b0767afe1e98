/** Calls that overlap on one device queue and give what they would have given alone; aborts and disposals among them harm nobody else. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { ReferenceDevice } from '../../src/devices/reference/device.ts'
import { distinctSetups } from '../ops/devices.ts'
import { Overlapping } from './overlapping.ts'

const devices = [{ name: 'reference', open: () => new ReferenceDevice() }, ...distinctSetups()]

describe.each(devices)('on $name', ({ open }) => {
  const calls = new Overlapping(open)
  beforeAll(() => calls.prepare())
  afterAll(() => calls.remove())

  it('tens of answers at once, some stopped on the way, are those given one by one', { timeout: 120_000 }, async () => {
    expect(await calls.answers()).toEqual({ wrong: [], left: 0 })
  })

  it('training and answering at once give the losses and the answers of each alone', { timeout: 120_000 }, async () => {
    const { alone, together, stopped, said, answers } = await calls.training()
    expect(alone).toHaveLength(4)
    expect(together).toEqual(alone)
    expect(alone.slice(0, stopped.length)).toEqual(stopped)
    expect(new Set(answers)).toEqual(new Set([said]))
  })

  it('an adapter saved while it trains is the adapter of some step', { timeout: 120_000 }, async () => {
    const { saved, ...wrong } = await calls.saves()
    expect(saved).toBeGreaterThan(10)
    expect(wrong).toEqual({ amid: 0, torn: 0 })
  })

  it('a model or a device that is disposed of in the middle tells its callers', { timeout: 120_000 }, async () => {
    const codes = await calls.disposals()
    expect(codes).toContain('DEVICE_DISPOSED')
    expect(codes.filter((code) => !/^(MODEL|DEVICE)_DISPOSED$/.test(code))).toEqual([])
  })
})
