// A byte-level BPE tokenizer (Sennrich et al. 2016; GPT-2's byte alphabet) trained on given texts, as a tokenizer.json.

/** GPT-2's map from bytes to printable characters */
function byteAlphabet() {
  const printable = [...range(33, 126), ...range(161, 172), ...range(174, 255)]
  const map = new Map(printable.map((b) => [b, String.fromCharCode(b)]))
  let next = 256
  for (let b = 0; b < 256; b++) if (!map.has(b)) map.set(b, String.fromCharCode(next++))
  return map
}
const range = (from, to) => Array.from({ length: to - from + 1 }, (_, i) => from + i)

/**
 * Words, digits, marks and blanks are cut apart before anything is merged: a word is the same token after a blank and after a quotation
 * mark, and numbers are read digit for digit.
 */
const PATTERN = '\\p{L}+|\\p{N}|\\s|[^\\s\\p{L}\\p{N}]'
const SPLIT = new RegExp(PATTERN, 'gu')

/** @returns tokenizer.json with `size` tokens, the special ones first */
export function trainBpe(texts, size, special) {
  const alphabet = byteAlphabet()
  const words = new Map()
  for (const text of texts) for (const [word] of text.matchAll(SPLIT)) words.set(word, (words.get(word) ?? 0) + 1)
  const pieces = [...words].map(([word, count]) => ({ count, parts: [...Buffer.from(word)].map((b) => alphabet.get(b)) }))
  const vocab = [...special, ...[...alphabet.values()].sort()]
  const merges = []
  while (vocab.length < size) {
    const pairs = new Map()
    for (const { count, parts } of pieces) {
      for (let i = 0; i + 1 < parts.length; i++) {
        const pair = `${parts[i]} ${parts[i + 1]}`
        pairs.set(pair, (pairs.get(pair) ?? 0) + count)
      }
    }
    const best = [...pairs].sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1))[0]
    if (!best || best[1] < 2) break
    const [left, right] = best[0].split(' ')
    merges.push([left, right])
    vocab.push(left + right)
    for (const piece of pieces) {
      const { parts } = piece
      for (let i = 0; i + 1 < parts.length; i++) if (parts[i] === left && parts[i + 1] === right) parts.splice(i, 2, left + right)
    }
  }
  return {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: special.map((content, id) => ({
      id,
      content,
      single_word: false,
      lstrip: false,
      rstrip: false,
      normalized: false,
      special: true,
    })),
    normalizer: null,
    pre_tokenizer: {
      type: 'Sequence',
      pretokenizers: [
        { type: 'Split', pattern: { Regex: PATTERN }, behavior: 'Isolated', invert: false },
        { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: false },
      ],
    },
    post_processor: null,
    decoder: { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true },
    model: {
      type: 'BPE',
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: false,
      byte_fallback: false,
      ignore_merges: false,
      vocab: Object.fromEntries(vocab.map((token, id) => [token, id])),
      merges,
    },
  }
}
