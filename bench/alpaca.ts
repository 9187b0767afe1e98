/** Alpaca rows as token ids, for both sides: one text a row, end of text behind it. */
import type { Tokenizer } from '../src/text/tokenizer.ts'

interface Row {
  instruction: string
  input: string
  output: string
}

export function alpacaIds(tokenizer: Tokenizer, rows: readonly Row[]): number[][] {
  return rows.map(({ instruction, input, output }) => {
    const text =
      'Below is an instruction that describes a task, paired with an input that provides further context. Write a response that ' +
      `appropriately completes the request.\n\n### Instruction:\n${instruction}\n\n### Input:\n${input}\n\n### Response:\n${output}`
    return [...tokenizer.encode(text), tokenizer.eosId!]
  })
}
