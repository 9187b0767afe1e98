/** What a card's driver and libraries take is a line each, and no more than was measured in all. */
import { expect, it } from 'vitest'
import { Card } from '../../src/devices/cuda/card.ts'
import { describeCard } from '../../src/devices/cuda/description.ts'
import { Driver } from '../../src/devices/cuda/driver.ts'
import { WORKSPACE } from '../../src/devices/cuda/matmul.ts'
import { overheadBytes } from '../../src/devices/device.ts'
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
    'weights rounded up to whole pages',
  ])
  // 603 to 616 MiB were there beside arena and store in the runs of bench/results/overhead-h200.txt
  expect(overheadBytes(overhead) / 2 ** 20).toBe(620)
  expect(overhead[1]!.bytes).toBe(WORKSPACE)
})
