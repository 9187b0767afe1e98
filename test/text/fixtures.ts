import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Tokenizer, type TokenizerOptions } from '../../src/text/tokenizer.ts'

/** recorded by tools/oracle/data.py */
export const recorded = <T>(path: string): T => JSON.parse(readFileSync(join(import.meta.dirname, '../fixtures/data', path), 'utf8')) as T

export const kinds = ['llama3-like', 'smollm-like', 'llama2-like', 'gemma-like'] as const

export function filesOf(kind: string) {
  return {
    tokenizerJson: recorded<object>(`tokenizers/${kind}/tokenizer.json`),
    tokenizerConfig: recorded<Record<string, unknown>>(`tokenizers/${kind}/tokenizer_config.json`),
  }
}

export const tokenizerOf = (kind: string, options: TokenizerOptions = {}) =>
  new Tokenizer(filesOf(kind), { modelType: 'llama', ...options })
