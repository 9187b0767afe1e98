import { expect, it } from 'vitest'
import { spelling } from '../../src/cli/spelling.ts'
import { sftFields } from '../../src/train/options/sft.ts'

const spell = spelling(sftFields, [
  { name: 'max_length', value: 64, said: 'max_length in run.yaml' },
  { name: 'max_pass_tokens', value: 50, said: '--max-pass-tokens' },
])

it('names options as the user wrote them, and as flags where they were not given', () => {
  expect(spell('Set maxLength to 50 or less, or allow larger passes (maxPassTokens).')).toBe(
    'Set max_length in run.yaml to 50 or less, or allow larger passes (--max-pass-tokens).',
  )
  expect(spell('a smaller maxLength, or loadIn4bit.')).toBe('a smaller max_length in run.yaml, or --load_in_4bit.')
})

it('leaves alone what is no option', () => {
  for (const text of [
    'packing, seed and --max_length',
    'it has the columns max_length, eval_steps',
    'https://x.org/y?maxLength=3',
    '/data/maxLength/rows.jsonl, row 3',
    '/data/max_length/rows.jsonl, row 3',
    'max_length.jsonl',
    '"eosToken" is not in the vocabulary',
    'base_model_name_or_path, max_position_embeddings',
  ])
    expect(spell(text)).toBe(text)
})
