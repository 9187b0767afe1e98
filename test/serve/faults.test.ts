/** What fails while an answer is made: its client is told, the others go on. */
import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { SaqrError } from '../../src/error.ts'
import { DecodeLoop } from '../../src/generate/decode-loop.ts'
import { Sampler } from '../../src/generate/sample.ts'
import { type Running, serveTiny } from './served.ts'

let s: Running
beforeEach(async () => {
  s = await serveTiny()
})
afterEach(async () => {
  vi.restoreAllMocks()
  await s.stop()
})

const ask = { model: 'tiny', messages: [{ role: 'user' as const, content: 'the owl' }], temperature: 0, max_tokens: 20 }
const broken = () => new SaqrError('MODEL_NOT_FINITE', 'the model’s logits are no numbers')

it('before anything of it was sent: a status', async () => {
  vi.spyOn(Sampler.prototype, 'after').mockImplementationOnce(() => {
    throw broken()
  })
  const failed = s.client.chat.completions.create(ask)
  const other = s.client.chat.completions.create(ask)
  await expect(failed).rejects.toMatchObject({ status: 500, code: 'model_not_finite' })
  expect((await other).choices).toHaveLength(1)
  expect(s.faults).toHaveLength(1)
})

it('in a stream: its last event, and the terminal hears of it', async () => {
  const real = Sampler.prototype.after
  let count = 0
  vi.spyOn(Sampler.prototype, 'after').mockImplementation(function (this: Sampler, logits) {
    if (++count === 4) throw broken()
    return real.call(this, logits)
  })
  const stream = await s.client.chat.completions.create({ ...ask, stream: true })
  const read = async () => {
    for await (const _ of stream);
  }
  await expect(read()).rejects.toThrow(/no numbers/)
  expect(s.faults).toHaveLength(1)
})

it('a device that fails ends what was under way, and what comes then is answered', async () => {
  vi.spyOn(DecodeLoop.prototype, 'step').mockRejectedValueOnce(new Error('inner words'))
  const failed = await s.ask('/v1/chat/completions', { method: 'POST', body: JSON.stringify(ask) })
  expect(failed.status).toBe(500)
  // a mistake of ours shows no insides to whoever asks
  expect(await failed.text()).not.toContain('inner words')
  expect(s.faults).toMatchObject([{ message: 'inner words' }])
  expect((await s.client.chat.completions.create(ask)).choices).toHaveLength(1)
})
