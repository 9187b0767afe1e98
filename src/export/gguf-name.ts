/**
 * A file's name in its metadata is no mere name: where phi-3 stands in it llama.cpp lets special tokens swallow the white space behind them, as Phi 3's own
 * tokenizer does and no key of a file says (llama-vocab.cpp). It doesn't open such a file where the vocabulary lacks a token that it then asks for.
 */
import type { Tokenizer } from '../text/tokenizer.ts'

const PHI = /phi-?3/gi
/** what llama.cpp asks the vocabulary for then, and those of them that don't swallow */
const ASKED = ['</s>', '<unk>', '<s>', '<|endoftext|>']
const PLAIN: ReadonlySet<string> = new Set(ASKED.slice(1))

/** The name by which llama.cpp cuts text as the model's own tokenizer does, and the special tokens beside which it still doesn't. */
export function nameFor(name: string, tokenizer: Tokenizer): { name: string; otherwise: string[] } {
  const all = tokenizer.addedTokens
  const wrong = all.filter(({ lstrip, rstrip }) => lstrip || rstrip)
  const wrongAsPhi = all.filter(({ content, lstrip, rstrip }) => lstrip || rstrip === PLAIN.has(content))
  if (wrongAsPhi.length >= wrong.length || ASKED.some((token) => tokenizer.idOf(token) === undefined))
    return { name: name.replace(PHI, 'Phi 3'), otherwise: wrong.map(({ content }) => content) }
  return { name: name.search(PHI) === -1 ? `${name} (Phi-3)` : name, otherwise: wrongAsPhi.map(({ content }) => content) }
}
