/**
 * More of what users of other servers met, each with the right value: OpenAI's API reference, or transformers'. One was mended.
 *
 * huggingface/text-generation-inference#2228, #2231, guidance-ai/guidance#945   top_p 0 and 1 are valid (0 to 1): 0 was a 400 here and an error of `generate`; it is the likeliest token
 *                                   alone, as transformers has it (its values: test/fixtures/sampling); mended
 * vllm-project/vllm#1045            logit_bias {} asks for nothing
 * sgl-project/sglang#25800, open-webui/open-webui#11263, BerriAI/litellm#7793, dstackai/dstack#1549   other values of it are a 400 that names it, never read past
 * raullenchai/Rapid-MLX#2358, Blaizzy/mlx-vlm#1044   stop as one text is stop as a list of it, in chat too
 * raullenchai/Rapid-MLX#470, tenstorrent/tt-metal#32212   frequency_penalty and presence_penalty do something, and count the answer, not the prompt
 * QwenLM/Qwen#319, tmc/langchaingo#600   temperature 0 is the likeliest token each time
 * EleutherAI/lm-evaluation-harness#1919   logprobs of completions has its first token's, a number
 * lmstudio-ai/lmstudio-python#87    seed -1, which clients write for none, draws
 * lmstudio-ai/lmstudio-bug-tracker#1509   the text of a special token, spelled in other tokens, ends nothing
 * ggml-org/llama.cpp#6770           a special token as a stop string ends the answer, though it is no text of it; mended
 */
import { afterAll, beforeAll, expect, it, vi } from 'vitest'
import { Sampler } from '../../src/generate/sample.ts'
import { shaped } from '../../src/generate/shape.ts'
import { type Running, serveTiny } from './served.ts'

let s: Running
beforeAll(async () => {
  s = await serveTiny()
})
afterAll(async () => {
  await s.stop()
  expect(s.faults).toEqual([])
})

const asked = { model: 'tiny', messages: [{ role: 'user' as const, content: 'w?' }], max_tokens: 6 }
const answer = async (more: object) => {
  const { choices } = await s.client.chat.completions.create({ ...asked, ...more })
  return choices[0]!.message.content!
}

it('TGI#2228, guidance#945: top_p from 0, the likeliest token alone, to 1', async () => {
  const likeliest = await answer({ temperature: 0 })
  for (const seed of [1, 2, 3]) expect(await answer({ temperature: 1.5, top_p: 0, seed })).toBe(likeliest)
  expect(await answer({ temperature: 0, top_p: 1 })).toBe(likeliest)
  for (const top_p of [-0.1, 1.1]) await expect(answer({ top_p })).rejects.toMatchObject({ status: 400, param: 'top_p' })
  let text = ''
  for await (const piece of s.model.generate('w?', { maxNewTokens: 6, temperature: 1.5, topP: 0, chat: true })) text += piece
  expect(text).toBe(likeliest)
  // of equal ones the first
  expect(Array.from(shaped(Float32Array.of(0, 3, 3, 1), { topP: 0 }).ids)).toEqual([1])
})

it('vllm#1045: an empty logit_bias asks for nothing; sglang#25800, open-webui#11263, litellm#7793: others are named', async () => {
  const likeliest = await answer({ temperature: 0 })
  for (const logit_bias of [{}, null]) expect(await answer({ temperature: 0, logit_bias })).toBe(likeliest)
  for (const logit_bias of [{ 50: -100 }, { 50: 1000 }, '50:-100', []])
    await expect(answer({ logit_bias })).rejects.toMatchObject({ status: 400, param: 'logit_bias', code: 'unsupported_parameter' })
})

it('Rapid-MLX#2358, mlx-vlm#1044: stop as a text and in a list', async () => {
  const whole = await answer({ temperature: 0, max_tokens: 12 })
  const stop = [...whole][4]!
  const ended = whole.slice(0, whole.indexOf(stop))
  for (const given of [stop, [stop]]) {
    const { choices } = await s.client.chat.completions.create({ ...asked, temperature: 0, max_tokens: 12, stop: given })
    expect([choices[0]!.message.content, choices[0]!.finish_reason]).toEqual([ended, 'stop'])
  }
})

it('Rapid-MLX#470, tt-metal#32212: penalties are of what was answered', async () => {
  const logits = Float32Array.of(2, 1.5, 0)
  const drawn = (options: object, count: number) => {
    const sampler = new Sampler([0, 0, 0], { temperature: 0, ...options })
    return Array.from({ length: count }, () => sampler.next(logits).id)
  }
  expect(drawn({ frequencyPenalty: 0.4 }, 4)).toEqual([0, 0, 1, 0])
  expect(drawn({ presencePenalty: 1 }, 3)).toEqual([0, 1, 0])
  expect(drawn({ repetitionPenalty: 2 }, 1)).toEqual([1])
  const plain = await answer({ temperature: 0, max_tokens: 40 })
  expect(await answer({ temperature: 0, max_tokens: 40, frequency_penalty: 2 })).not.toBe(plain)
})

it('Qwen#319, langchaingo#600: temperature 0; lmstudio-python#87: seed -1', async () => {
  const answers = await Promise.all([1, 2, 3].map((seed) => answer({ temperature: 0, seed })))
  expect(new Set(answers).size).toBe(1)
  expect((await answer({ temperature: 1, seed: -1 })).length).toBeGreaterThan(0)
})

it('lm-evaluation-harness#1919: the first token of a completion has its logprob', async () => {
  const { choices } = await s.client.completions.create({ model: 'tiny', prompt: 'w?', temperature: 0, max_tokens: 3, logprobs: 1 })
  const { token_logprobs: logprobs, top_logprobs: top } = choices[0]!.logprobs!
  expect(logprobs).toHaveLength(3)
  for (const [i, logprob] of logprobs!.entries()) expect(logprob).toBe(Math.max(...Object.values(top![i]!)))
})

it('llama.cpp#6770: a special token as a stop string ends an answer, and is no text of it', async () => {
  const { tokenizer } = s.model
  const said = () => {
    const ids = [
      ...tokenizer.encode('ab', { addSpecialTokens: false }),
      tokenizer.idOf('<pad>')!,
      ...tokenizer.encode('cdef', { addSpecialTokens: false }),
    ]
    return vi.spyOn(Sampler.prototype, 'after').mockImplementation(() => ({ id: ids.shift()!, logprob: 0, top: [] }))
  }
  for (const [stop, text] of [
    ['<pad>', 'ab'],
    [['x', '<pad>'], 'ab'],
    ['x', 'abcde'],
  ] as const) {
    said()
    expect(await answer({ stop })).toBe(text)
    said()
    const { choices } = await s.client.completions.create({ model: 'tiny', prompt: 'w', max_tokens: 6, stop: stop as string })
    expect([choices[0]!.text, choices[0]!.finish_reason]).toEqual([text, text === 'ab' ? 'stop' : 'length'])
    said()
    let whole = ''
    for await (const piece of s.model.generate('w?', { maxNewTokens: 6, stopStrings: [stop].flat(), chat: true })) whole += piece
    expect(whole).toBe(text)
    vi.restoreAllMocks()
  }
})

it('lmstudio-bug-tracker#1509: what spells a special token is text', async () => {
  const ids = [...'a</s>b'].flatMap((one) => s.model.tokenizer.encode(one, { addSpecialTokens: false }))
  vi.spyOn(Sampler.prototype, 'after').mockImplementation(() => ({ id: ids.shift()!, logprob: 0, top: [] }))
  expect(await answer({})).toBe('a</s>b')
  vi.restoreAllMocks()
})
