/** Holds added tokens against the ids that the tokenizers library made of texts, and masks against those transformers makes of a stretch of them. */
import { SaqrError } from '../../src/error.ts'
import { Tokenizer } from '../../src/text/tokenizer.ts'

export interface AddedCase {
  kind: string
  definition: Record<string, unknown> & { added_tokens: { single_word: boolean; lstrip: boolean; rstrip: boolean; normalized: boolean }[] }
  /** before, in and behind the stretch */
  texts: [string, string, string][]
  /** null: the library fails */
  ids: (number[] | null)[]
  /** null: an end of the stretch lies in no token */
  masks: (number[] | null)[]
}

const template = '{{ messages[0].content }}{% generation %}{{ messages[1].content }}{% endgeneration %}{{ messages[2].content }}'

/** Texts whose ids or masks differ, how many of each agreed, and how many masks were refused. */
export function heldAgainst(cases: readonly AddedCase[], modelOf: (kind: string) => object) {
  const wrong: object[] = []
  const counts = { ids: 0, masks: 0, refused: 0 }
  for (const { kind, definition, texts, ids, masks } of cases) {
    const tokenizer = new Tokenizer(
      { tokenizerJson: { ...definition, model: modelOf(kind) }, tokenizerConfig: {} },
      { chatTemplate: template },
    )
    for (const [i, text] of texts.entries()) {
      if (ids[i] === null) continue
      const made = tokenizer.encode(text.join(''), { addSpecialTokens: false })
      if (made.join() === ids[i]!.join()) counts.ids++
      else wrong.push({ kind, text, made, right: ids[i], added: definition.added_tokens })
      const mask = maskOf(tokenizer, text)
      if (!mask) counts.refused++
      else if (masks[i] && mask.join() === masks[i].join()) counts.masks++
      else if (masks[i]) wrong.push({ kind, text, mask: mask.join(''), right: masks[i].join(''), added: definition.added_tokens })
    }
  }
  return { wrong, ...counts }
}

/** Undefined where it is refused. */
function maskOf(tokenizer: Tokenizer, text: readonly string[]): Uint8Array | undefined {
  try {
    return tokenizer.applyChatTemplateWithMask(text.map((content) => ({ role: 'user', content }))).mask
  } catch (error) {
    if (error instanceof SaqrError && error.code === 'TEXT_NO_OFFSETS') return undefined
    throw error
  }
}
