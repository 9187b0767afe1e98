/** Who reads a model's tensors has them still: a run that stands still for a moment does not go on before the reading has ended. */
import { expect, it } from 'vitest'
import type { LanguageModel } from '../../src/engine/language-model.ts'
import { turnOn, turnToRead } from '../../src/train/turn.ts'

it('a reading that waited for a pause, however short, holds the run', async () => {
  const model = { opened: { training: new Set() } } as unknown as LanguageModel
  const order: string[] = []
  const run = await turnOn(model)
  const reading = turnToRead(model).then((end) => {
    order.push('reads')
    return end
  })
  await new Promise((resolve) => setImmediate(resolve)) // it waits
  run.pause()
  const on = run.goOn().then(() => order.push('goes on')) // at once, as a run does whose events nobody holds
  const end = await reading
  await new Promise((resolve) => setImmediate(resolve))
  expect(order).toEqual(['reads'])
  end()
  await on
  expect(order).toEqual(['reads', 'goes on'])
  run.end()
  const last = await turnToRead(model)
  last()
})
