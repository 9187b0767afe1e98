/** What never answers is given up, whatever the garbage collector does meanwhile. */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { within } from '../../src/hub/within.ts'

const silent = createServer(() => {})
let url = ''
beforeAll(async () => {
  await new Promise<void>((ready) => silent.listen(0, '127.0.0.1', ready))
  url = `http://127.0.0.1:${(silent.address() as AddressInfo).port}`
})
afterAll(() => {
  silent.closeAllConnections()
  silent.close()
})

it.each([
  ['alone', undefined],
  ['beside a signal', new AbortController().signal],
])(
  '%s',
  async (_, signal) => {
    setFlagsFromString('--expose-gc')
    const gc = runInNewContext('gc') as () => void
    const collecting = setInterval(gc, 20)
    try {
      await expect(fetch(url, { signal: within(200, signal) })).rejects.toMatchObject({ name: 'TimeoutError' })
    } finally {
      clearInterval(collecting)
    }
  },
  5000,
)

it('waits as long as it is told, however long', async () => {
  const signals = [2 ** 31, Number.POSITIVE_INFINITY].map((ms) => within(ms))
  await new Promise((done) => setTimeout(done, 20))
  expect(signals.map((signal) => signal.aborted)).toEqual([false, false])
})
