/** Where answers end, beside weights that are written: as transformers' trainer aligns it (`align_special_tokens`, transformers 5.23). */
import { describe, expect, it } from 'vitest'
import { endingAs } from '../../src/engine/ends.ts'
import type { TokenizerFiles } from '../../src/formats/tensor.ts'

const tokenizer = (eos_token: unknown): TokenizerFiles => ({
  tokenizerJson: { added_tokens: [{ id: 0, content: '<|endoftext|>' }], model: { vocab: { '</s>': 3 } } },
  tokenizerConfig: { eos_token: eos_token as string },
  chatTemplates: {},
})
/** eos_token_id of config.json and of generation_config.json; undefined: no such file */
type Ids = readonly [number | number[], number | number[] | null | undefined]
const aligned = (files: TokenizerFiles | undefined, [config, generation]: Ids) => {
  const before = { config: { eos_token_id: config }, generation: generation === undefined ? undefined : { eos_token_id: generation } }
  const after = endingAs(files, before.config, before.generation)
  return [{ ...before.config, ...after.config }.eos_token_id, after.generation?.eos_token_id]
}

describe('the token that the tokenizer ends with', () => {
  it.each<[Ids, Ids]>([
    [
      [2, 2],
      [0, [0, 2]],
    ],
    [
      [
        [2, 5],
        [2, 5],
      ],
      [
        [0, 2, 5],
        [0, 2, 5],
      ],
    ],
    [
      [0, 2],
      [0, [0, 2]],
    ],
    [
      [2, [0, 2]],
      [0, [0, 2]],
    ],
    [
      [0, [0, 2]],
      [0, [0, 2]],
    ],
    [
      [[0, 2], null],
      [[0, 2], [0]],
    ],
    [
      [2, null],
      [0, [0]],
    ],
    [
      [2, undefined],
      [0, undefined],
    ],
  ])('%j becomes %j', (before, after) => {
    expect(aligned(tokenizer('<|endoftext|>'), before)).toEqual(after)
    expect(aligned(tokenizer({ content: '<|endoftext|>' }), before)).toEqual(after)
  })

  it('may be of the vocabulary alone; one that is none, or nowhere, changes nothing', () => {
    expect(aligned(tokenizer('</s>'), [2, 2])).toEqual([3, [3, 2]])
    for (const files of [tokenizer('<unheard>'), tokenizer(null), tokenizer(undefined), undefined])
      expect(aligned(files, [2, [2, 5]])).toEqual([2, [2, 5]])
  })
})
