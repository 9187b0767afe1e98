/** Tokens and logits as the decode loop gives them. */
import type { LanguageModel } from '../../src/engine/language-model.ts'
import { DecodeLoop } from '../../src/generate/decode-loop.ts'
import { type GenerateOptions, generateTokens } from '../../src/generate/generate.ts'
import { Sampler } from '../../src/generate/sample.ts'

/** what follows each prompt, all together in one loop */
export async function answersOf(model: LanguageModel, prompts: readonly (readonly number[])[], o: GenerateOptions, given?: DecodeLoop) {
  const loop = given ?? new DecodeLoop(model)
  const answers = prompts.map((): number[] => [])
  const { maxNewTokens = 8 } = o
  const questions = prompts.map((prompt) => ({ prompt, sampler: new Sampler(prompt, o), stop: new Set<number>(), maxNewTokens }))
  try {
    for await (const { index, choice } of generateTokens(model, loop, questions)) if (choice) answers[index]!.push(choice.id)
    return answers
  } finally {
    if (!given) loop.dispose()
  }
}

/** logits (tokens, vocab) of what follows each token, read one by one over the cache */
export async function logitsOneByOne(model: LanguageModel, ids: ArrayLike<number>): Promise<Float32Array> {
  const { vocab } = model.opened.model
  const all = new Float32Array(ids.length * vocab)
  const loop = new DecodeLoop(model)
  try {
    const text = await loop.add([ids[0]!], ids.length)
    all.set(text.logits)
    for (let i = 1; i < ids.length; i++) {
      await loop.step([[text, ids[i]!]])
      all.set(text.logits, i * vocab)
    }
    return all
  } finally {
    loop.dispose()
  }
}
