/** A GGUF file written, opened again, held against what was trained, and only then given its name. */
import { closeSync, existsSync, fsyncSync, openSync, realpathSync, writeSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { writeCard } from '../engine/card.ts'
import type { LanguageModel } from '../engine/language-model.ts'
import { withoutAdapter } from '../engine/without-adapter.ts'
import { SaqrError } from '../error.ts'
import { ensureWritableFolder, fileError } from '../formats/files.ts'
import type { Quantization } from '../formats/gguf/mixture.ts'
import { filesOf, firstHeader, groupsOf, idOfParts, sweepParts, writeParts } from '../formats/gguf/split.ts'
import { type Entries, f32, type GgufTensorToWrite, tensorBytes, text, u32 } from '../formats/gguf/write.ts'
import { partPaths, siblings } from '../hub/gguf-parts.ts'
import { move } from '../hub/move.ts'
import type { Tokenizer } from '../text/tokenizer.ts'
import { turnToRead } from '../train/turn.ts'
import { answersOf, answersOfFile, apart, askable, compare, type Found, foundLine, fromBase, judge, NOT_ASKED } from './check.ts'
import { ggufFile } from './gguf.ts'
import { wrongValues } from './gguf-values.ts'
import { modelfileName, writeModelfiles } from './modelfile.ts'

/** A GGUF file as it was written, and how near it is to the trained model. */
export interface SavedGguf {
  /** the file, of several parts the first */
  path: string
  /** how many there are; 1: the file is whole */
  parts: number
  /** of all parts */
  bytes: number
  /** what most of its weights are written in */
  quantization: Quantization
  /** what the file answers beside what the trained model does, and the model without its adapter where it has one; null: it was not asked */
  compared: Found | null
  /** worth telling */
  notes: string[]
}

export interface SaveGgufRequest {
  quantization: Quantization
  /** token ids of rows that the trained model and the file are asked; default: those of a few texts */
  rows?: readonly (readonly number[])[]
  /** is the file read again, opened and asked? */
  check: boolean
  /** of the CPU, on which blocks are made and the file is asked; default: as many as processors */
  threads?: number | null
  /** bytes of one file at most, where it holds more than one tensor; default: one file */
  splitBytes?: number | undefined
  signal?: AbortSignal
  /** share that is written */
  onProgress?: (share: number) => void
}

/** `out` or `out/name.gguf` -> the file. Named after the folder and the type. */
export function ggufPath(target: string, quantization: string): string {
  if (target.endsWith('.gguf')) return target
  const name = basename(join(process.cwd(), target)) || 'model'
  return join(target, `${name}.${quantization.toUpperCase()}.gguf`)
}

/**
 * An older file of that name is replaced once this one holds. Asked, written and held against what was to be written in one reading: a run of the same
 * model stands still between two steps meanwhile, or this waits for its end.
 * @throws SaqrError EXPORT_…, OPTION_INVALID, FORMAT_DISK_FULL, FORMAT_PERMISSION, FORMAT_FILE; the signal's reason, with nothing left behind
 */
export async function saveGguf(language: LanguageModel, tokenizer: Tokenizer, path: string, request: SaveGgufRequest): Promise<SavedGguf> {
  const { quantization, check, threads, signal } = request
  const { opened } = language
  checkPath(path, opened.checkpoint.path)
  const rows = check ? askable(tokenizer, request.rows, opened.model) : []
  ensureWritableFolder(dirname(path))
  const unchecked = path.replace(/\.gguf$/, '.unchecked.gguf')
  try {
    const { file, metadata, groups, bytes, trained, base } = await read(language, tokenizer, path, unchecked, rows, request)
    if (!trained) {
      signal?.throwIfAborted()
      return { ...named(unchecked, path, groups.length), bytes, quantization, compared: null, notes: file.notes }
    }
    const saved = await answersOfFile(partPaths(unchecked, groups.length)[0]!, language, tokenizer, rows, { threads, signal })
    const against = { ...compare(trained, saved), base: base && fromBase(trained, base, saved) }
    const { bound, holds, note } = judge(against, quantization, opened.choice.dtype, against.base)
    const compared = { ...against, bound }
    if (!holds) throw mismatch(unchecked, path, groups.length, apart(compared))
    signal?.throwIfAborted()
    putFacts(partPaths(unchecked, groups.length)[0]!, { ...metadata, ...factsOf(compared) }, groups)
    return { ...named(unchecked, path, groups.length), bytes, quantization, compared, notes: note ? [...file.notes, note] : file.notes }
  } catch (error) {
    sweepParts(unchecked, [])
    throw error
  }
}

/** Everything that is read of the model: its answers, its weights into the file, and once more beside the file. */
async function read(
  language: LanguageModel,
  tokenizer: Tokenizer,
  path: string,
  unchecked: string,
  rows: readonly number[][][],
  { quantization, check, threads, splitBytes = Number.POSITIVE_INFINITY, signal, onProgress }: SaveGgufRequest,
) {
  const endReading = await turnToRead(language, signal)
  try {
    const file = ggufFile(language, tokenizer, quantization, basename(path, '.gguf'), threads ?? undefined)
    const trained = check ? await answersOf(language, rows, signal) : null
    const base = check && language.spec.kind === 'lora' ? await answersOf(withoutAdapter(language), rows, signal) : null
    const groups = groupsOf(file.tensors, splitBytes)
    // what is found has its room from the start; where nobody looks there is nothing to say
    const metadata = { ...file.metadata, ...(check ? factsOf(null) : WRITTEN_BY), ...idOfParts(groups.length) }
    const whole = file.tensors.reduce((sum, tensor) => sum + tensorBytes(tensor), 0)
    const pause = async () => {
      await new Promise(setImmediate) // an abort is heard
      signal?.throwIfAborted()
    }
    const bytes = await language.opened.device.turn(async () => {
      const bytes = await writeParts(unchecked, metadata, groups, async (done) => {
        onProgress?.(Math.min(1, done / whole))
        await pause()
      })
      const wrong = check ? await wrongValues(partPaths(unchecked, groups.length)[0]!, file.tensors, pause) : null
      if (wrong) throw mismatch(unchecked, path, groups.length, wrong)
      return bytes
    }, signal)
    return { file, metadata, groups, bytes, trained, base }
  } finally {
    endReading()
  }
}

/** What is said of a file: what it is, how near to the trained model, what else to know. */
export function ggufLines({ path, parts, bytes, compared, notes }: SavedGguf): string[] {
  const size = `${path}: ${(bytes / 1e6).toFixed(bytes < 1e8 ? 1 : 0)} MB${parts > 1 ? ` in ${parts} files` : ''}`
  return [`${size}; ${compared ? foundLine(compared) : NOT_ASKED}`, ...notes]
}

/** A card and Modelfiles beside the files of one call, where they are in a folder that they were given. @returns what is worth telling */
export async function besideGguf(
  language: LanguageModel,
  tokenizer: Tokenizer,
  target: string,
  saved: readonly SavedGguf[],
): Promise<string[]> {
  if (target.endsWith('.gguf')) return []
  const notes = writeModelfiles(language, tokenizer, target, saved)
  if (saved.some(({ parts }) => parts > 1))
    notes.push('Ollama reads files in parts from version 0.30 on; an older one takes them and then fails to load the model')
  const files = saved.map(({ path, quantization, compared }) => ({
    name: basename(path),
    found: compared ? foundLine(compared) : NOT_ASKED,
    modelfile: modelfileName(saved, quantization),
  }))
  const kept = await writeCard(language, target, { kind: 'gguf', files })
  return kept === null ? notes : [...notes, kept]
}

/** No file of this name may be one of those that are open: all of them go. */
function checkPath(path: string, base: string): void {
  const open = siblings(base)
    .filter(existsSync)
    .map((part) => realpathSync(part))
  const taken = filesOf(path).find((file) => open.includes(realpathSync(file)))
  if (taken !== undefined)
    throw new SaqrError('FORMAT_FILE', `${taken} is the file of the model that is open, whose weights are read from it: give another name`)
}

function mismatch(unchecked: string, path: string, parts: number, what: string): SaqrError {
  const { path: kept } = named(unchecked, path.replace(/\.gguf$/, '.mismatch.gguf'), parts)
  return new SaqrError(
    'EXPORT_MISMATCH',
    `${kept} is not the model that was trained: ${what}. Save it in a finer type, or merged, and report this`,
  )
}

/**
 * The files get their names, over those of an older model, which go. The first part is the last to get its: until then another model's stands there,
 * whose id the new parts don't have, or none.
 */
function named(from: string, to: string, parts: number): { path: string; parts: number } {
  const names = partPaths(to, parts)
  for (const [i, part] of [...partPaths(from, parts).entries()].reverse()) rename(part, names[i]!)
  sweepParts(to, names)
  return { path: names[0]!, parts }
}

function rename(from: string, to: string): void {
  try {
    move(from, to)
  } catch (cause) {
    throw fileError(cause, to, 'write')
  }
}

const WRITTEN_BY: Entries = { 'general.quantized_by': text('saqr') }

/** what was found, in the file itself: numbers and their kinds alone change, so that the header stays as long as it is */
function factsOf(compared: Found | null): Entries {
  return {
    'saqr.trained.kl': f32(compared?.kl ?? Number.NaN),
    'saqr.trained.kl_bound': f32(compared?.bound ?? 0),
    'saqr.trained.largest_difference': f32(compared?.most ?? Number.NaN),
    'saqr.trained.same_likeliest': f32(compared?.same ?? Number.NaN),
    'saqr.trained.base_kl': f32(compared?.base?.kl ?? Number.NaN),
    'saqr.trained.share_from_base': f32(compared?.base?.share ?? Number.NaN),
    'saqr.trained.positions': u32(compared?.positions ?? 0),
    ...WRITTEN_BY,
  }
}

function putFacts(path: string, metadata: Entries, groups: readonly (readonly GgufTensorToWrite[])[]): void {
  try {
    const header = firstHeader(metadata, groups)
    const fd = openSync(path, 'r+')
    try {
      writeSync(fd, header, 0, header.length, 0)
      fsyncSync(fd)
    } finally {
      closeSync(fd)
    }
  } catch (cause) {
    throw fileError(cause, path, 'write')
  }
}
