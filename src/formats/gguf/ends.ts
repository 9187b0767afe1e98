/**
 * Which tokens end an answer of a GGUF file, as llama.cpp has it (llama-vocab.cpp, `special_eog_ids`): those that the metadata names, and those
 * whose text is known as an end, of whatever type the file says they are. Converters rely on it: Gemma's files name `<eos>` alone, and a turn ends
 * with `<end_of_turn>`.
 */
import { vocabularyIn } from '../vocabulary.ts'
import type { Metadata } from './metadata.ts'

const BY_TEXT: ReadonlySet<string> = new Set([
  ...['<|eot_id|>', '<|im_end|>', '<|end|>', '<end_of_turn>', '<|endoftext|>', '<|end_of_text|>', '<|eom_id|>', '</s>', '<eos>'],
  ...['<|return|>', '<|call|>', '<|calls|>', '<|flush|>', '<EOT>', '_<EOT>', '[EOT]', '[EOS]', '<end_of_utterance>'],
  ...['<turn|>', '<|tool_response>', '<｜end▁of▁sentence｜>', '[e~['],
])

/** What stands around code that is filled in ends an answer too: one token of each kind, by the key that names it or else by its text. */
const AROUND_CODE: Readonly<Record<string, readonly string[]>> = {
  fim_pad: ['<|fim_pad|>', '<fim-pad>', '<fim_pad>', '<PAD>', '[PAD]'],
  fim_rep: ['<|fim_repo|>', '<|repo_name|>', '<fim-repo>', '<REPO>', '<reponame>'],
  fim_sep: ['<|file_sep|>'],
}

const KNOWN: ReadonlySet<string> = new Set([...BY_TEXT, ...Object.values(AROUND_CODE).flat()])

/** Is a token of this text an end to llama.cpp though the metadata name others? */
export const endsByText = (text: string): boolean => KNOWN.has(text)

/** Ids, each once; the end that the metadata names comes first. */
export function endsOf(meta: Metadata): number[] {
  const tokens = meta.optionalTexts('tokenizer.ggml.tokens')
  const ids = new Map<string, number>()
  for (const text of tokens ? KNOWN : []) {
    const id = vocabularyIn(tokens!).get(text)
    if (id !== undefined) ids.set(text, id)
  }
  const named = (key: string) => meta.optionalCount(`tokenizer.ggml.${key}_token_id`)
  const byText = (texts: Iterable<string>) => [...texts].map((text) => ids.get(text)).filter((id) => id !== undefined)
  const ends = new Set(byText(BY_TEXT))
  const first = ['eos', 'eot', 'eom'].map(named)
  const around = Object.entries(AROUND_CODE).map(([key, texts]) => named(key) ?? byText(texts)[0])
  const all = new Set([...first, ...ends, ...around].filter((id) => id !== undefined))
  const has = (text: string) => all.has(ids.get(text) ?? -1)
  // where a message has parts, each ends with <|end|> and the answer goes on until one of the others
  if ((has('<|return|>') || has('<|flush|>')) && (has('<|call|>') || has('<|calls|>'))) all.delete(ids.get('<|end|>') ?? -1)
  if (has('<|tool_response>')) all.delete(ids.get('</s>') ?? -1)
  return [...all]
}
