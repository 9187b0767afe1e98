/** bench:ops times no more threads than can run at once: thread 0's clock would start when it gets a processor, after others have worked. */
import { spawnSync } from 'node:child_process'
import { expect, it } from 'vitest'
import { runnableThreads } from '../../src/devices/threads.ts'

const most = runnableThreads()
it.each([`${most + 1}`, `1,${most + 1}`, '0', '1.5', 'two'])('--threads %s is refused', (threads) => {
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    ['--import', './tools/ts.mjs', 'bench/ops.ts', '--threads', threads, 'lora_A'],
    { encoding: 'utf8', timeout: 30_000 },
  )
  expect(stderr).toContain(`--threads ${threads}: give numbers from 1 to ${most}, as many threads as this process can run at once`)
  expect([status, stdout]).toEqual([2, ''])
})
