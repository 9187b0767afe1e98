/** SentencePiece BPE (Llama 2, Mistral) as transformers turns it into a fast tokenizer: scores become an ordered list of merges. */
import type { JsonObject } from '../json.ts'

const mark = '▁'

/**
 * Every way to put a token together from two others, best score first: what merging by score amounts to. Ties: the longer left part,
 * then the longer right part; then as the tokens stand in the file, a token's own ways by the ids of their parts.
 */
export function mergesOf(tokens: readonly string[], scores: readonly number[]): [string, string][] {
  const ids = new Map(tokens.map((token, id) => [token, id]))
  const scoreOf = new Map(tokens.map((token, id) => [token, scores[id]!]))
  const merges: { left: string; right: string; score: number; leftLength: number; rightLength: number }[] = []
  for (const [token, score] of scoreOf) {
    const characters = [...token]
    const ways: typeof merges = []
    let left = ''
    for (let i = 1; i < characters.length; i++) {
      left += characters[i - 1]
      const right = token.slice(left.length)
      if (ids.has(left) && ids.has(right)) ways.push({ left, right, score, leftLength: i, rightLength: characters.length - i })
    }
    ways.sort((a, b) => ids.get(a.left)! - ids.get(b.left)! || ids.get(a.right)! - ids.get(b.right)!)
    merges.push(...ways)
  }
  merges.sort((a, b) => b.score - a.score || b.leftLength - a.leftLength || b.rightLength - a.rightLength)
  return merges.map(({ left, right }) => [left, right])
}

/** Everything of tokenizer.json but vocabulary, merges and added tokens. `prefixSpace`: text begins as if a space stood before it. */
export function sentencePieceParts(prefixSpace: boolean): { preTokenizer: JsonObject; decoder: JsonObject; model: JsonObject } {
  const strip = prefixSpace ? [{ type: 'Strip', content: ' ', start: 1, stop: 0 }] : []
  return {
    preTokenizer: { type: 'Metaspace', replacement: mark, prepend_scheme: prefixSpace ? 'first' : 'never', split: false },
    decoder: {
      type: 'Sequence',
      decoders: [{ type: 'Replace', pattern: { String: mark }, content: ' ' }, { type: 'ByteFallback' }, { type: 'Fuse' }, ...strip],
    },
    model: { fuse_unk: true, byte_fallback: true, ignore_merges: false },
  }
}
