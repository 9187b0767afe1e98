/** A tokenizer for models that never see text: bytes, and a token without meaning for every other id. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { byteTokenizer } from '../test/cli/tiny-model.ts'

/** Writes its files into a model's folder. @param size ids that there are */
export function writeIdsTokenizer(folder: string, size: number): void {
  const bytes = byteTokenizer()
  const vocab: Record<string, number> = { ...bytes.model.vocab }
  for (let id = Object.keys(vocab).length; id < size; id++) vocab[`<${id}>`] = id
  writeFileSync(join(folder, 'tokenizer.json'), JSON.stringify({ ...bytes, model: { ...bytes.model, vocab } }))
  writeFileSync(join(folder, 'tokenizer_config.json'), JSON.stringify({ tokenizer_class: 'PreTrainedTokenizerFast', eos_token: '</s>' }))
}
