/** What goes wrong says so: a kernel's fault with its step, memory that isn't there, an abort; and nothing is left behind. */
import { join } from 'node:path'
import { CudaDevice } from '../../src/devices/cuda/device.ts'
import { lower } from '../../src/graph/lower.ts'
import { cases } from '../../src/ops/generated/cases.ts'
import { draw } from '../../test/ops/draw.ts'
import { record } from '../../test/ops/harness.ts'
import { families, messageOf, note } from './findings.ts'
import { on, type Setup } from './train.ts'

export async function checkFaults(): Promise<void> {
  const expectError = async (what: string, pattern: RegExp, act: () => unknown) => {
    try {
      await act()
      note(`${what}: no error`, 1, 0)
    } catch (error) {
      const message = messageOf(error)
      note(what, pattern.test(message) ? 0 : 1, 0, message)
      console.log(`${what}: ${message}`)
    }
  }
  const setup: Setup = {
    folder: join(families, 'llama-gqa-tied'),
    dtype: 'f32',
    loadIn4bit: true,
    eightBit: true,
    policy: 'all',
    quantum: 128,
  }
  const free: number[] = []
  for (let i = 0; i < 20; i++) {
    await on(new CudaDevice(), setup, 1)
    const device = new CudaDevice()
    free.push(device.card.memory().free)
    device.dispose()
  }
  note('20 rounds of load, train, dispose: bytes left behind', Math.max(...free) - free.at(-1)!, 0, `${free[0]} free at first`)
  const device = new CudaDevice()
  await expectError('an arena larger than the card', /GiB free of \d.*, too little for the arena \(\d+/, () => device.reserve(2 ** 45))
  const drawn = draw(cases.find((c) => c.op.name === 'embed')!, 'f32')
  const abort = new AbortController()
  abort.abort(new Error('stopped by the user'))
  const recorded = record(cases.find((c) => c.op.name === 'embed')!, drawn)
  for (const { tensor, drawn } of recorded.stored)
    device.store(tensor.name, { rows: tensor.rows, cols: tensor.cols, dtype: tensor.dtype, source: { kind: 'data', bytes: drawn.bytes } })
  const { scratch } = device.describe()
  const loaded = device.load(lower([{ name: 'all', nodes: recorded.r.nodes }], { tokens: 1, pinned: recorded.pinned, scratch }))
  await expectError('an abort', /stopped by the user/, () =>
    device.run([{ plan: loaded, segment: 'all' }], recorded.uploads, { signal: abort.signal }),
  )
  const ids = Object.keys(recorded.uploads)[0]!
  const wrong = { ...recorded.uploads, [ids]: new Int32Array(recorded.uploads[ids]!.length / 4).fill(2 ** 30) }
  await expectError("a kernel's fault", /embed of case \(.+ × .+; op 0 of the plan\): .*illegal memory access/, () =>
    device.run([{ plan: loaded, segment: 'all' }], wrong),
  )
  await expectError('a card that is lost', /this process can't use the card any more/i, () =>
    device.readStore(recorded.stored[0]!.tensor.name),
  )
  device.dispose() // which hides nothing and throws nothing
}
