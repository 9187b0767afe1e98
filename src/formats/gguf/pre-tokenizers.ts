/**
 * How text is cut before merging, by `tokenizer.ggml.pre`: llama.cpp's names for what stands in the models' tokenizer.json.
 * An unknown name is refused: a wrong cut gives ids that the model was never trained on.
 */
import type { JsonObject } from '../json.ts'

export interface PreTokenizer {
  preTokenizer: JsonObject
  normalizer: JsonObject | null
  /** a piece that is a token as it stands is not merged step by step */
  ignoreMerges: boolean
  /** begin with BOS where the file does not say */
  addBos: boolean
}

const byteLevel = (useRegex: boolean): JsonObject => ({
  type: 'ByteLevel',
  add_prefix_space: false,
  trim_offsets: true,
  use_regex: useRegex,
})

const split = (regex: string): JsonObject => ({
  type: 'Sequence',
  pretokenizers: [{ type: 'Split', pattern: { Regex: regex }, behavior: 'Isolated', invert: false }, byteLevel(false)],
})

const end = '| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+'
const contractions = "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|"
const ending = "(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
const upper = '[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]'
const lower = '[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]'
const tekken = `[^\\r\\n\\p{L}\\p{N}]?${upper}*${lower}+|[^\\r\\n\\p{L}\\p{N}]?${upper}+${lower}*|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+`
const gpt4o = `[^\\r\\n\\p{L}\\p{N}]?${upper}*${lower}+${ending}|[^\\r\\n\\p{L}\\p{N}]?${upper}+${lower}*${ending}|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+`

const gpt2: PreTokenizer = { preTokenizer: byteLevel(true), normalizer: null, ignoreMerges: false, addBos: false }
const digits: PreTokenizer = {
  ...gpt2,
  preTokenizer: {
    type: 'Sequence',
    pretokenizers: [{ type: 'Split', pattern: { Regex: '\\p{N}' }, behavior: 'Isolated', invert: false }, byteLevel(true)],
  },
}
const llama3: PreTokenizer = { preTokenizer: split(`${contractions}\\p{N}{1,3}${end}`), normalizer: null, ignoreMerges: true, addBos: true }
const qwen2: PreTokenizer = { preTokenizer: split(`${contractions}\\p{N}${end}`), normalizer: null, ignoreMerges: false, addBos: false }

export const preTokenizers: Readonly<Record<string, PreTokenizer>> = {
  'gpt-2': gpt2,
  smollm: digits,
  starcoder: digits,
  llama3,
  'llama-v3': llama3,
  'llama-bpe': llama3,
  'smaug-bpe': { ...llama3, ignoreMerges: false, addBos: false }, // SmolLM3's files have this name
  qwen2: { ...qwen2, normalizer: { type: 'NFC' } },
  'deepseek-r1-qwen': qwen2,
  tekken: { preTokenizer: split(tekken), normalizer: null, ignoreMerges: true, addBos: true },
  'gpt-4o': { preTokenizer: split(gpt4o), normalizer: null, ignoreMerges: false, addBos: false }, // gpt-oss
}
