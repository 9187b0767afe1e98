/**
 * Base and adapter as one checkpoint: W + s·B·A, computed in f32 and rounded once. A head that reads the embedding gets a weight of its own
 * where one of the two was changed. It is opened again and held against the trained model before it takes its place.
 */
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { writePromptForm } from '../data/prompt-form.ts'
import { writeCard } from '../engine/card.ts'
import { dequantised, quantisedHere } from '../engine/computed-base.ts'
import type { LanguageModel } from '../engine/language-model.ts'
import { moveModelFolder, writeModelFolder } from '../engine/model-folder.ts'
import { checkModelFolder } from '../engine/save-target.ts'
import { withoutAdapter } from '../engine/without-adapter.ts'
import { SaqrError } from '../error.ts'
import { asF32 } from '../formats/numbers.ts'
import type { CheckpointTensor } from '../formats/tensor.ts'
import { ensureWritableFolder, fileError } from '../hub/files.ts'
import { move } from '../hub/move.ts'
import type { Tokenizer } from '../text/tokenizer.ts'
import { turnToRead } from '../train/turn.ts'
import { askedNote } from './asked-as.ts'
import { baseNotes } from './base-notes.ts'
import { changesOf } from './changed.ts'
import { answersOf, answersOfFile, apart, askable, compare, type Found, foundLine, fromBase, judge, NOT_ASKED } from './check.ts'

/** A model that was written whole, its adapter merged where it has one. */
export interface SavedMerged {
  /** the folder */
  path: string
  /** of the weights */
  bytes: number
  /** what weights are written in: the dtype that the model was opened with */
  dtype: 'f32' | 'bf16'
  /** what the checkpoint answers beside what the trained model does, and the model without its adapter where it has one; null: it was not asked */
  compared: Found | null
  /** worth telling */
  notes: string[]
}

export interface SaveMergedRequest {
  /** opens the folder again and asks it what comes next in these rows (token ids; default: those of a few texts); left out: it is not asked */
  ask?: { tokenizer: Tokenizer; rows?: readonly (readonly number[])[] }
  /** of the CPU, on which the folder is asked; default: as many as processors */
  threads?: number | null
  /** bytes of one file of weights at most; default 5 GB */
  shardBytes?: number
  signal?: AbortSignal
}

/**
 * A model that lies in the folder is replaced once this one holds. Everything of the model is read in one piece: a run of it stands still between two
 * steps meanwhile, or this waits for its end.
 * @throws SaqrError EXPORT_MISMATCH, OPTION_INVALID, FORMAT_…; the signal's reason, with nothing left behind
 */
export async function saveMerged(language: LanguageModel, folder: string, request: SaveMergedRequest = {}): Promise<SavedMerged> {
  const { ask, threads, signal } = request
  const { opened } = language
  const { dtype } = opened.choice
  checkModelFolder(opened, folder)
  const rows = ask ? askable(ask.tokenizer, ask.rows, opened.model) : null
  ensureWritableFolder(folder)
  const unchecked = join(folder, '.unchecked')
  try {
    rmSync(unchecked, { recursive: true, force: true })
    const { bytes, trained, base } = await read(language, unchecked, rows, request)
    const notes = [...baseNotes(language), ...askedNote(language.promptForm, isTemplated(language), 'folder')]
    let compared: Found | null = null
    if (ask && rows && trained) {
      const saved = await answersOfFile(unchecked, language, ask.tokenizer, rows, { threads, signal })
      const against = { ...compare(trained, saved), base: base && fromBase(trained, base, saved) }
      const { bound, holds } = judge(against, dtype, dtype, against.base)
      compared = { ...against, bound }
      if (!holds) throw mismatch(unchecked, folder, apart(compared))
    }
    signal?.throwIfAborted()
    moveModelFolder(unchecked, folder)
    writePromptForm(folder, language.promptForm, undefined, language.run)
    const kept = await writeCard(language, folder, { kind: 'merged', found: compared ? foundLine(compared) : NOT_ASKED })
    return { path: folder, bytes, dtype, compared, notes: kept === null ? notes : [...notes, kept] }
  } catch (error) {
    rmSync(unchecked, { recursive: true, force: true })
    throw error
  }
}

/** Everything that is read of the model: its answers, and its weights into the folder. */
async function read(
  language: LanguageModel,
  folder: string,
  rows: readonly number[][][] | null,
  { shardBytes, signal }: SaveMergedRequest,
) {
  const endReading = await turnToRead(language, signal)
  try {
    const trained = rows && (await answersOf(language, rows, signal))
    const base = rows && language.spec.kind === 'lora' ? await answersOf(withoutAdapter(language), rows, signal) : null
    const pause = async () => {
      await new Promise(setImmediate) // an abort is heard
      signal?.throwIfAborted()
    }
    const bytes = await language.opened.device.turn(() => {
      const { changed, head } = changesOf(language)
      const inNf4 = quantisedHere(language)
      const written = (t: CheckpointTensor) => {
        if (!inNf4.has(t.name)) return changed(t)
        const computed = dequantised(t, language)
        return changed(computed) ?? { rows: (from: number, count: number) => asF32(computed.load('f32', from, count)) }
      }
      const untied = head ? { config: { tie_word_embeddings: false }, extra: [head] } : {}
      return writeModelFolder(language.opened, folder, written, { tokenizer: language.tokenizer, ...untied, shardBytes, pause })
    }, signal)
    return { bytes, trained, base }
  } finally {
    endReading()
  }
}

/** does its tokenizer have a chat template? It stands in a file of its own, or in the configuration */
function isTemplated({ tokenizer }: LanguageModel): boolean {
  return tokenizer !== undefined && Boolean(tokenizer.chatTemplate ?? tokenizer.tokenizerConfig.chat_template)
}

function mismatch(unchecked: string, folder: string, what: string): SaqrError {
  const kept = join(folder, 'mismatch')
  try {
    rmSync(kept, { recursive: true, force: true })
    move(unchecked, kept)
  } catch (cause) {
    throw fileError(cause, kept, 'write')
  }
  return new SaqrError('EXPORT_MISMATCH', `${kept} is not the model that was trained: ${what}. Please report this`)
}

/** What is said of it, as of a GGUF file. */
export function mergedLines({ path, bytes, dtype, compared, notes }: SavedMerged): string[] {
  const size = `${path}: ${(bytes / 1e6).toFixed(bytes < 1e8 ? 1 : 0)} MB in ${dtype}`
  return [`${size}; ${compared ? foundLine(compared) : NOT_ASKED}`, ...notes]
}
