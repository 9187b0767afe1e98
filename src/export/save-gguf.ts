/** A GGUF file written, opened again, held against what was trained, and only then given its name. */
import { closeSync, existsSync, openSync, realpathSync, renameSync, rmSync, writeSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import type { LanguageModel } from '../engine/language-model.ts'
import { SaqrError } from '../error.ts'
import { ensureWritableFolder, fileError } from '../formats/files.ts'
import type { Quantization } from '../formats/gguf/mixture.ts'
import { type Entries, f32, headerBytes, tensorBytes, text, u32, writeGguf } from '../formats/gguf/write.ts'
import type { Tokenizer } from '../text/tokenizer.ts'
import { type GgufFile, ggufFile } from './gguf.ts'
import { answersOf, answersOfFile, askedRows, type Compared, compare, judge, TEXTS } from './gguf-check.ts'

export interface SavedGguf {
  path: string
  bytes: number
  quantization: Quantization
  /** what the file answers beside what the trained model does; null: it was not asked */
  compared: (Compared & { bound: number }) | null
  /** worth telling */
  notes: string[]
}

export interface SaveGgufRequest {
  quantization: Quantization
  /** token ids of rows that the trained model and the file are asked; default: those of a few texts */
  rows?: readonly (readonly number[])[]
  /** is the file opened again and asked? */
  check: boolean
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

/** An older file of that name is replaced once this one holds. @throws SaqrError EXPORT_…, FORMAT_DISK_FULL, FORMAT_PERMISSION, FORMAT_FILE */
export async function saveGguf(language: LanguageModel, tokenizer: Tokenizer, path: string, request: SaveGgufRequest): Promise<SavedGguf> {
  const { quantization, check, signal, onProgress } = request
  const { opened } = language
  checkPath(path, opened.checkpoint.path)
  const name = basename(path, '.gguf')
  const file = ggufFile(language, tokenizer, quantization, name)
  ensureWritableFolder(dirname(path))
  const rows = askedRows(request.rows ?? TEXTS.map((row) => tokenizer.encode(row)), opened.model.maxPositions)
  const trained = check ? await answersOf(language, rows, signal) : null
  const unchecked = path.replace(/\.gguf$/, '.unchecked.gguf')
  const metadata = { ...file.metadata, ...factsOf(null, 0) }
  const whole = file.tensors.reduce((sum, tensor) => sum + tensorBytes(tensor), 0)
  const bytes = await opened.device.turn(async () =>
    writeGguf(unchecked, metadata, file.tensors, (done) => {
      signal?.throwIfAborted()
      onProgress?.(Math.min(1, done / whole))
    }),
  )
  if (!trained) {
    renameSync(unchecked, path)
    return { path, bytes, quantization, compared: null, notes: file.notes }
  }
  const compared = await asked(unchecked, () => answersOfFile(unchecked, language, tokenizer, rows, signal), trained)
  const { bound, holds, note } = judge(compared, quantization, opened.choice.dtype)
  if (!holds) throw mismatch(unchecked, path, compared, bound)
  putFacts(unchecked, path, metadata, file, compared, bound)
  return { path, bytes, quantization, compared: { ...compared, bound }, notes: note ? [...file.notes, note] : file.notes }
}

/** What is said of a file: what it is, how near to the trained model, what else to know. */
export function ggufLines({ path, bytes, compared, notes }: SavedGguf): string[] {
  const size = `${path}: ${(bytes / 1e6).toFixed(bytes < 1e8 ? 1 : 0)} MB`
  if (!compared) return [`${size}; not asked beside the trained model`, ...notes]
  const { kl, bound, same, positions } = compared
  const agree = `the likeliest token is the same in ${Math.round(same * positions)} of ${positions}`
  return [`${size}; opened again, it is ${kl.toExponential(1)} nats from the trained model (${bound} allowed), ${agree}`, ...notes]
}

/** the file is no model where it can't even be asked */
async function asked(path: string, answers: () => Promise<Float64Array[]>, trained: Float64Array[]): Promise<Compared> {
  try {
    return compare(trained, await answers())
  } catch (error) {
    rmSync(path, { force: true })
    throw error
  }
}

function checkPath(path: string, base: string): void {
  if (existsSync(path) && existsSync(base) && realpathSync(path) === realpathSync(base))
    throw new SaqrError('FORMAT_FILE', `${path} is the file of the model that is open, whose weights are read from it: give another name`)
}

function mismatch(unchecked: string, path: string, { kl, most, positions }: Compared, bound: number): SaqrError {
  const kept = path.replace(/\.gguf$/, '.mismatch.gguf')
  renameSync(unchecked, kept)
  return new SaqrError(
    'EXPORT_MISMATCH',
    `${kept} is not the model that was trained: over ${positions} next tokens it is ${kl.toPrecision(3)} nats apart (probabilities by up to ${most.toPrecision(3)}), where ${bound} is allowed. Save it in a finer type, or merged, and report this`,
  )
}

/** what was found, in the file itself: numbers and their kinds alone change, so that the header stays as long as it is */
function factsOf(compared: Compared | null, bound: number): Entries {
  return {
    'saqr.trained.kl': f32(compared?.kl ?? Number.NaN),
    'saqr.trained.kl_bound': f32(bound),
    'saqr.trained.largest_difference': f32(compared?.most ?? Number.NaN),
    'saqr.trained.same_likeliest': f32(compared?.same ?? Number.NaN),
    'saqr.trained.positions': u32(compared?.positions ?? 0),
    'general.quantized_by': text('saqr'),
  }
}

function putFacts(from: string, to: string, metadata: Entries, { tensors }: GgufFile, compared: Compared, bound: number): void {
  try {
    const header = headerBytes({ ...metadata, ...factsOf(compared, bound) }, tensors)
    const fd = openSync(from, 'r+')
    try {
      writeSync(fd, header, 0, header.length, 0)
    } finally {
      closeSync(fd)
    }
    renameSync(from, to)
  } catch (cause) {
    throw fileError(cause, to, 'write')
  }
}
