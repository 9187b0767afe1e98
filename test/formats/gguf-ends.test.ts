/** Which tokens end an answer of a GGUF file, as llama.cpp says (test/live/gguf-ends.live.ts asks it); and that a file written again says it still. */
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { describeTokenizer, keyedEnds } from '../../src/export/gguf-tokenizer.ts'
import { endsOf } from '../../src/formats/gguf/ends.ts'
import { Metadata } from '../../src/formats/gguf/metadata.ts'
import { readGguf } from '../../src/formats/gguf/open.ts'
import { ggufTokenizer } from '../../src/formats/gguf/tokenizer.ts'
import { headerOf } from '../../src/formats/gguf/write.ts'
import { Texts } from '../../src/formats/texts.ts'
import { Tokenizer } from '../../src/text/tokenizer.ts'
import { fixture } from './fixtures.ts'

type Ids = Record<string, number>

const ends = (tokens: string[], ids: Ids = {}) => {
  const named = Object.entries(ids).map(([key, id]) => [`tokenizer.ggml.${key}_token_id`, id] as const)
  const metadata = new Map<string, number | Texts>([['tokenizer.ggml.tokens', Texts.of(tokens)], ...named])
  return endsOf(new Metadata({ version: 3, metadata, tensors: new Map() }, 'model.gguf'))
}

it.each<[string, string[], Ids, number[]]>([
  ['Gemma names <eos> alone', ['a', '<bos>', '<eos>', '<end_of_turn>', '</s>'], { eos: 2 }, [2, 3, 4]],
  ['harmony: <|end|> ends a part of the answer', ['<|return|>', '<|call|>', '<|end|>', '<|endoftext|>', 'a'], { eos: 0 }, [0, 3, 1]],
  ['Phi: <|end|> ends it', ['<|end|>', '<|endoftext|>', '<|assistant|>'], { eos: 1 }, [1, 0]],
  ['</s> beside <|tool_response> is text', ['</s>', '<turn|>', '<|tool_response>', '<eos>'], { eos: 3 }, [3, 1, 2]],
  ['whatever keys name', ['a', 'b', 'c', 'd', 'e'], { eos: 4, eot: 0, eom: 2 }, [4, 0, 2]],
  ['code around a gap', ['<|im_end|>', '<|fim_pad|>', '<|repo_name|>', '<|file_sep|>', '<|fim_middle|>'], { eos: 0 }, [0, 1, 2, 3]],
  ['code around a gap, by key', ['<|im_end|>', '<|fim_pad|>', 'a'], { eos: 0, fim_pad: 2 }, [0, 2]],
  ['none', ['a', 'b'], {}, []],
])('%s', (_, tokens, ids, expected) => {
  expect(ends(tokens, ids)).toEqual(expected)
})

it('a file written again has the same ends: two by key, the rest by text; of more it is told', () => {
  const path = fixture('tokenizer-llama-bpe.gguf')
  const tokenizer = new Tokenizer(ggufTokenizer(readGguf(path), path)!)
  const eos = tokenizer.eosId!
  const some = [0, 1, 2, 3].filter((id) => id !== eos)
  const again = (given: number[]) => {
    const wish = { modelType: 'llama', vocab: tokenizer.idLimit, ends: given, whole: false, template: null }
    return endsOf(new Metadata(headerOf(describeTokenizer(tokenizer, wish), []), join(path, 'again')))
  }
  for (const given of [[eos], [eos, some[0]!], [eos, some[0]!, some[1]!]]) {
    expect(new Set(again(given))).toEqual(new Set([...again([eos]), ...given]))
    expect(keyedEnds(tokenizer, given).left).toEqual([])
  }
  expect(keyedEnds(tokenizer, [eos, ...some]).left).toEqual(some.slice(2))
})
