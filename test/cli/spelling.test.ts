import { expect, it } from 'vitest'
import { option, SaqrError, say } from '../../src/error.ts'
import { sftFields } from '../../src/train/options/sft.ts'
import { spelling } from '../../src/train/options/spelling.ts'

const spell = spelling(sftFields, [
  { name: 'max_length', value: 64, said: 'max_length in run.yaml' },
  { name: 'max_pass_tokens', value: 50, said: '--max-pass-tokens' },
])
const tooLong = () =>
  new SaqrError('DATA_TOO_LONG', say`maxLength.jsonl: set ${option('maxLength')} or ${option('maxPassTokens')}, not ${option('packing')}`)

it('carries the option it speaks of, as programs write it', () => {
  expect(tooLong().message).toBe('maxLength.jsonl: set maxLength or maxPassTokens, not packing')
  expect(tooLong().option).toBe('maxLength')
  expect(new SaqrError('DATA_ROW', 'max_length is a column').option).toBeUndefined()
})

it('names options as the user wrote them, and as flags where they were not given', () => {
  const error = tooLong()
  error.respell(spell)
  expect(error.message).toBe('maxLength.jsonl: set max_length in run.yaml or --max-pass-tokens, not --packing')
  expect(error.stack).toContain(error.message)
})

it('names what a program asks for otherwise', () => {
  const error = new SaqrError('X', say`${option('chatTemplate')} ${option('getPeftModel')} ${option('memory')} ${option('formattingFunc')}`)
  error.respell(spelling(sftFields))
  expect(error.message).toBe('--chat_template_path --use_peft --memory formattingFunc')
})

it('says more around what another error says', () => {
  const error = new SaqrError('X', say`${tooLong().said}. And ${option('memory')}.`)
  error.respell(spell)
  expect(error.message).toMatch(/^maxLength\.jsonl: set max_length in run\.yaml .* And --memory\.$/)
})
