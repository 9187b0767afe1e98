/** An adapter's folder over the base that is served, under a name. */
import { readPromptForm } from '../data/prompt-form.ts'
import { loadAdapter } from '../engine/load-adapter.ts'
import type { OpenedModel } from '../engine/opened-model.ts'
import { readTokenizerFiles } from '../formats/tokenizer-files.ts'
import { Tokenizer } from '../text/tokenizer.ts'
import type { Served } from './models.ts'

/**
 * With the tokenizer that it was saved with, as where it is opened alone.
 * @param tokenizer the base's; `told`: options say something of the tokenizer, and they say it of every model's
 * @throws SaqrError FORMAT_…, TEXT_…
 */
export function servedAdapter(name: string, folder: string, opened: OpenedModel, tokenizer: Tokenizer, told: boolean): Served {
  const language = loadAdapter(opened, folder)
  language.promptForm = readPromptForm(folder)
  const files = told ? undefined : readTokenizerFiles(folder)
  const own = files && new Tokenizer(files, { modelType: String(opened.checkpoint.config.model_type) })
  return { name, language, tokenizer: own ?? tokenizer }
}
