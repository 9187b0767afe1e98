/**
 * How text is cut before merging, by `tokenizer.ggml.pre`: llama.cpp's names for what stands in the models' tokenizer.json.
 * An unknown name is refused: a wrong cut gives ids that the model was never trained on.
 */
import type { JsonObject } from '../json.ts'
import { MOONSHOT_PATTERN } from '../tiktoken.ts'

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

const splits = (regexes: readonly string[], ...between: JsonObject[]): JsonObject => ({
  type: 'Sequence',
  pretokenizers: [
    ...regexes.map((Regex) => ({ type: 'Split', pattern: { Regex }, behavior: 'Isolated', invert: false })),
    ...between,
    byteLevel(false),
  ],
})
const split = (regex: string) => splits([regex])

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

/** letters that have a case, as DeepSeek V2's tokenizer.json writes them out */
const cased = (
  [
    'A-Za-z\u00b5\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u01ba\u01bc-\u01bf\u01c4-\u0293\u0295-\u02af\u0370-\u0373\u0376\u0377\u037b-\u037d\u037f\u0386',
    '\u0388-\u038a\u038c\u038e-\u03a1\u03a3-\u03f5\u03f7-\u0481\u048a-\u052f\u0531-\u0556\u10a0-\u10c5\u13a0-\u13f5\u13f8-\u13fd\u1c90-\u1cba',
    '\u1cbd-\u1cbf\u1d00-\u1d2b\u1d6b-\u1d77\u1d79-\u1d9a\u1e00-\u1f15\u1f18-\u1f1d\u1f20-\u1f45\u1f48-\u1f4d\u1f50-\u1f57\u1f59\u1f5b\u1f5d',
    '\u1f5f-\u1f7d\u1f80-\u1fb4\u1fb6-\u1fbc\u1fbe\u1fc2-\u1fc4\u1fc6-\u1fcc\u1fd0-\u1fd3\u1fd6-\u1fdb\u1fe0-\u1fec\u1ff2-\u1ff4\u1ff6-\u1ffc',
    '\u2102\u2107\u210a-\u2113\u2115\u2119-\u211d\u2124\u2126\u2128\u212a-\u212d\u212f-\u2134\u2139\u213c-\u213f\u2145-\u2149\u214e\u2183\u2184',
    '\u2c00-\u2c7b\u2c7e-\u2ce4\u2ceb-\u2cee\u2cf2\u2cf3\ua640-\ua66d\ua680-\ua69b\ua722-\ua76f\ua771-\ua787\ua78b-\ua78e\uab70-\uabbf\ufb00-',
    '\ufb06\ufb13-\ufb17\uff21-\uff3a\uff41-\uff5a\u{10400}-\u{1044f}\u{104b0}-\u{104d3}\u{104d8}-\u{104fb}\u{10c80}-\u{10cb2}\u{10cc0}-\u{10cf2}',
    '\u{118a0}-\u{118df}\u{1e900}-\u{1e943}',
  ] as const
).join('') // biome-ignore format: a table

const deepseekLlm = [
  '[\r\n]',
  `\\s?[${cased}]+`,
  '\\s?[!-/:-~\uff01-\uff0f\uff1a-\uff5e\u2018-\u201f\u3000-\u3002]+',
  '\\s+$',
  '[\u4e00-\u9fa5\u0800-\u4e00\uac00-\ud7ff]+',
]
const deepseekV3 = [
  '\\p{N}{1,3}',
  '[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+',
  '[!"#$%&\'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\r\n]*|\\s*[\r\n]+|\\s+(?!\\S)|\\s+',
]

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
  'deepseek-llm': { ...gpt2, preTokenizer: splits(deepseekLlm, { type: 'Digits', individual_digits: true }), addBos: true },
  'deepseek-v3': { ...gpt2, preTokenizer: splits(deepseekV3) },
  tekken: { preTokenizer: split(tekken), normalizer: null, ignoreMerges: true, addBos: true },
  'gpt-4o': { preTokenizer: split(gpt4o), normalizer: null, ignoreMerges: false, addBos: false }, // gpt-oss
  'kimi-k2': { preTokenizer: split(MOONSHOT_PATTERN), normalizer: null, ignoreMerges: true, addBos: false }, // Moonlight and Kimi
}
