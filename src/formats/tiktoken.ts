/**
 * tiktoken.model, the only vocabulary in the checkpoints of Moonlight and Kimi (Moonshot AI): a token's bytes in base64 and its rank, which is its id,
 * a line each. How text is cut and how the special tokens are called stands in Python beside it (TikTokenTokenizer). Here it becomes the tokenizer.json
 * that makes the same ids of every text.
 *
 * tiktoken merges, of all neighbours that are a token together, those of the lowest rank. Two parts of a text are neighbours only after what merging each
 * by itself leaves of them: so a token is ever made of one pair alone, the one that merging its own bytes by lower ranks ends with, and a list of
 * these pairs in the order of their ranks says the same.
 */
import { SaqrError } from '../error.ts'
import { characterOfByte } from './byte-alphabet.ts'
import { isObject, type JsonObject, show } from './json.ts'
import { withKeys } from './json-exact.ts'

const upper = '[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}&&[^\\p{Han}]]'
const lower = '[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}&&[^\\p{Han}]]'
const ending = "(?i:'s|'t|'re|'ve|'m|'ll|'d)?"

/** how the two families cut text: Chinese characters by themselves, words by their capitals, digits by threes */
export const MOONSHOT_PATTERN = `[\\p{Han}]+|[^\\r\\n\\p{L}\\p{N}]?${upper}*${lower}+${ending}|[^\\r\\n\\p{L}\\p{N}]?${upper}+${lower}*${ending}|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+`

/** the class whose rules these are */
const CLASS = 'TikTokenTokenizer'
/** ids behind the vocabulary that are special tokens, named by the config or not */
const RESERVED = 256

/** Bytes as Latin-1 text -> rank. @throws SaqrError FORMAT_TOKENIZER naming the first line that is none */
function ranksOf(text: string, path: string): Map<string, number> {
  const ranks = new Map<string, number>()
  const fail = (why: string): never => {
    throw new SaqrError('FORMAT_TOKENIZER', `${path}: ${why}. Fetch the checkpoint again.`)
  }
  for (const [i, line] of text.split('\n').entries()) {
    if (line === '') continue
    const [, base64, rank] = /^([A-Za-z0-9+/]+={0,2}) (\d{1,9})\r?$/.exec(line) ?? []
    if (base64 === undefined) fail(`line ${i + 1} is ${show(line)}, it must be a token in base64 and its rank`)
    const bytes = Buffer.from(base64!, 'base64').toString('latin1')
    if (Number(rank) !== ranks.size || ranks.has(bytes))
      fail(
        `line ${i + 1} has rank ${rank}${ranks.has(bytes) ? ' and a token that stands there before' : `, the next one is ${ranks.size}`}`,
      )
    ranks.set(bytes, ranks.size)
  }
  const lacking = characterOfByte.findIndex((_, byte) => !ranks.has(String.fromCharCode(byte)))
  if (lacking !== -1) fail(`it has no token for the byte 0x${lacking.toString(16).padStart(2, '0')}`)
  return ranks
}

/** What merging a token's bytes ends with where it may not become the token itself. */
function partsOf(token: string, rank: number, ranks: ReadonlyMap<string, number>): string[] {
  const parts = Array.from({ length: token.length }, (_, i) => token[i]!)
  for (;;) {
    let [best, at] = [rank, -1]
    for (let i = 0; i + 1 < parts.length; i++) {
      const found = ranks.get(parts[i]! + parts[i + 1]!)
      if (found !== undefined && found < best) [best, at] = [found, i]
    }
    if (at === -1) return parts
    parts.splice(at, 2, parts[at]! + parts[at + 1]!)
  }
}

/**
 * tokenizer.json and tokenizer_config.json of a folder that has tiktoken.model.
 * @param config tokenizer_config.json
 * @param path of tiktoken.model, as errors name it
 * @throws SaqrError FORMAT_TOKENIZER for a broken file, and for one of another class, whose text is cut otherwise
 */
export function tiktokenTokenizer(text: string, config: JsonObject, path: string): { json: JsonObject; config: JsonObject } {
  if (config.tokenizer_class !== CLASS)
    throw new SaqrError(
      'FORMAT_TOKENIZER',
      `${path}: tokenizer_config.json names the class ${show(config.tokenizer_class ?? null)}, whose code says how text is cut; ${CLASS} (Moonlight, Kimi) is known. Use a checkpoint with tokenizer.json.`,
    )
  const ranks = ranksOf(text, path)
  const written = new Map([...ranks.keys()].map((token) => [token, Array.from(token, (c) => characterOfByte[c.charCodeAt(0)]!).join('')]))
  const merges: [string, string][] = []
  for (const [token, rank] of ranks) {
    if (token.length === 1) continue
    const [left, right, ...more] = partsOf(token, rank, ranks) as [string, string, ...string[]]
    // a token that merging never makes is one only where it is a whole piece of text
    if (more.length === 0) merges.push([written.get(left)!, written.get(right)!])
  }
  const json: JsonObject = {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: specialTokens(config, ranks.size),
    normalizer: null,
    pre_tokenizer: {
      type: 'Sequence',
      pretokenizers: [
        { type: 'Split', pattern: { Regex: MOONSHOT_PATTERN }, behavior: 'Isolated', invert: false },
        { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: false },
      ],
    },
    post_processor: null,
    decoder: { type: 'ByteLevel', add_prefix_space: true, trim_offsets: true, use_regex: true },
    model: {
      type: 'BPE',
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: false,
      byte_fallback: false,
      ignore_merges: true,
      vocab: Object.fromEntries([...ranks].map(([token, rank]) => [written.get(token)!, rank])),
      merges,
    },
  }
  // what is saved is read by tokenizer.json alone: the class's code doesn't lie beside it
  return { json, config: withKeys(config, { tokenizer_class: 'PreTrainedTokenizerFast', auto_map: undefined }) }
}

/** The ids behind the vocabulary, by the names that the config has for them. */
function specialTokens({ added_tokens_decoder: named }: JsonObject, first: number): JsonObject[] {
  return Array.from({ length: RESERVED }, (_, i) => {
    const id = first + i
    const given = isObject(named) ? named[id] : undefined
    const { content } = isObject(given) ? given : {}
    const name = typeof content === 'string' ? content : `<|reserved_token_${id}|>`
    return { id, content: name, single_word: false, lstrip: false, rstrip: false, normalized: false, special: true }
  })
}
