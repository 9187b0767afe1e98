/**
 * Alpaca rows (Taori et al. 2023) as text. The wording is the one that fine-tuning notebooks use for every row, also where `input` is
 * empty; all rows then begin alike, and share that beginning.
 */

export function alpacaPrompt(instruction: string, input: string): string {
  return `Below is an instruction that describes a task, paired with an input that provides further context. Write a response that appropriately completes the request.

### Instruction:
${instruction}

### Input:
${input}

### Response:
`
}
