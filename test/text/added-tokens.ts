/** Holds added tokens against the ids that the tokenizers library made of texts. */
import { Tokenizer } from '../../src/text/tokenizer.ts'

export interface AddedCase {
  kind: string
  definition: Record<string, unknown> & { added_tokens: { single_word: boolean; lstrip: boolean; rstrip: boolean; normalized: boolean }[] }
  texts: string[]
  /** null: the library fails */
  ids: (number[] | null)[]
}

/** Texts whose ids differ, and how many agreed. */
export function heldAgainst(cases: readonly AddedCase[], modelOf: (kind: string) => object): { wrong: object[]; agreed: number } {
  const wrong: object[] = []
  let agreed = 0
  for (const { kind, definition, texts, ids } of cases) {
    const tokenizer = new Tokenizer({ tokenizerJson: { ...definition, model: modelOf(kind) }, tokenizerConfig: {} })
    for (const [i, text] of texts.entries()) {
      if (ids[i] === null) continue
      const made = tokenizer.encode(text, { addSpecialTokens: false })
      if (made.join() === ids[i]!.join()) agreed++
      else wrong.push({ kind, text, made, right: ids[i], added: definition.added_tokens })
    }
  }
  return { wrong, agreed }
}
