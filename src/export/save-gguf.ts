/** A GGUF file written, opened again, held against what was trained, and only then given its name. */
import { closeSync, existsSync, fsyncSync, openSync, realpathSync, renameSync, rmSync, writeSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import type { LanguageModel } from '../engine/language-model.ts'
import { withoutAdapter } from '../engine/without-adapter.ts'
import { option, SaqrError, say } from '../error.ts'
import { ensureWritableFolder, fileError } from '../formats/files.ts'
import type { Quantization } from '../formats/gguf/mixture.ts'
import { type Entries, f32, headerBytes, tensorBytes, text, u32, writeGguf } from '../formats/gguf/write.ts'
import type { Tokenizer } from '../text/tokenizer.ts'
import { turnToRead } from '../train/turn.ts'
import { type GgufFile, ggufFile } from './gguf.ts'
import { answersOf, answersOfFile, askedRows, type Compared, compare, type FromBase, fromBase, judge, TEXTS } from './gguf-check.ts'
import { wrongValues } from './gguf-values.ts'

/** A GGUF file as it was written, and how near it is to the trained model. */
export interface SavedGguf {
  /** the file */
  path: string
  /** its size */
  bytes: number
  /** what most of its weights are written in */
  quantization: Quantization
  /** what the file answers beside what the trained model does, and the model without its adapter where it has one; null: it was not asked */
  compared: (Compared & { bound: number; base: FromBase | null }) | null
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
  const rows = askedRows(request.rows ?? TEXTS.map((row) => tokenizer.encode(row)), opened.model.maxPositions)
  if (check && rows.length === 0)
    throw new SaqrError('OPTION_INVALID', say`there is no token to ask the model and the file: give ${option('checkTexts')} that hold some`)
  ensureWritableFolder(dirname(path))
  const unchecked = path.replace(/\.gguf$/, '.unchecked.gguf')
  try {
    const { file, metadata, bytes, trained, base } = await read(language, tokenizer, path, unchecked, rows, request)
    if (!trained) {
      signal?.throwIfAborted()
      rename(unchecked, path)
      return { path, bytes, quantization, compared: null, notes: file.notes }
    }
    const saved = await answersOfFile(unchecked, language, tokenizer, rows, { threads, signal })
    const compared = { ...compare(trained, saved), base: base && fromBase(trained, base, saved) }
    const { bound, holds, note } = judge(compared, quantization, opened.choice.dtype, compared.base)
    if (!holds) throw mismatch(unchecked, path, apart(compared, bound))
    signal?.throwIfAborted()
    putFacts(unchecked, path, metadata, file, compared, bound)
    return { path, bytes, quantization, compared: { ...compared, bound }, notes: note ? [...file.notes, note] : file.notes }
  } catch (error) {
    rmSync(unchecked, { force: true })
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
  { quantization, check, threads, signal, onProgress }: SaveGgufRequest,
) {
  const endReading = await turnToRead(language, signal)
  try {
    const file = ggufFile(language, tokenizer, quantization, basename(path, '.gguf'), threads ?? undefined)
    const trained = check ? await answersOf(language, rows, signal) : null
    const base = check && language.spec.kind === 'lora' ? await answersOf(withoutAdapter(language), rows, signal) : null
    const metadata = { ...file.metadata, ...factsOf(null, 0) }
    const whole = file.tensors.reduce((sum, tensor) => sum + tensorBytes(tensor), 0)
    const pause = async () => {
      await new Promise(setImmediate) // an abort is heard
      signal?.throwIfAborted()
    }
    const bytes = await language.opened.device.turn(async () => {
      const bytes = await writeGguf(unchecked, metadata, file.tensors, async (done) => {
        onProgress?.(Math.min(1, done / whole))
        await pause()
      })
      const wrong = check ? await wrongValues(unchecked, file.tensors, pause) : null
      if (wrong) throw mismatch(unchecked, path, wrong)
      return bytes
    }, signal)
    return { file, metadata, bytes, trained, base }
  } finally {
    endReading()
  }
}

/** What is said of a file: what it is, how near to the trained model, what else to know. */
export function ggufLines({ path, bytes, compared, notes }: SavedGguf): string[] {
  const size = `${path}: ${(bytes / 1e6).toFixed(bytes < 1e8 ? 1 : 0)} MB`
  if (!compared) return [`${size}; not asked beside the trained model`, ...notes]
  const { kl, bound, same, positions, base } = compared
  const agree = `the likeliest token is the same in ${Math.round(same * positions)} of ${positions}`
  const without = base ? `, which is ${base.kl.toExponential(1)} from its base` : ''
  return [
    `${size}; opened again, it is ${kl.toExponential(1)} nats from the trained model (${bound} allowed)${without}, ${agree}`,
    ...notes,
  ]
}

function checkPath(path: string, base: string): void {
  if (existsSync(path) && existsSync(base) && realpathSync(path) === realpathSync(base))
    throw new SaqrError('FORMAT_FILE', `${path} is the file of the model that is open, whose weights are read from it: give another name`)
}

function mismatch(unchecked: string, path: string, what: string): SaqrError {
  const kept = path.replace(/\.gguf$/, '.mismatch.gguf')
  rename(unchecked, kept)
  return new SaqrError(
    'EXPORT_MISMATCH',
    `${kept} is not the model that was trained: ${what}. Save it in a finer type, or merged, and report this`,
  )
}

function apart({ positions, kl, most, base }: Compared & { base: FromBase | null }, bound: number): string {
  const far = `over ${positions} next tokens it is ${kl.toPrecision(3)} nats apart (probabilities by up to ${most.toPrecision(3)}), where ${bound} is allowed`
  return base
    ? `${far}; it has gone ${base.share.toFixed(2)} (± ${base.error.toFixed(2)}) of the ${base.kl.toPrecision(3)} nats from the base to it`
    : far
}

function rename(from: string, to: string): void {
  try {
    renameSync(from, to)
  } catch (cause) {
    throw fileError(cause, to, 'write')
  }
}

/** what was found, in the file itself: numbers and their kinds alone change, so that the header stays as long as it is */
function factsOf(compared: (Compared & { base: FromBase | null }) | null, bound: number): Entries {
  return {
    'saqr.trained.kl': f32(compared?.kl ?? Number.NaN),
    'saqr.trained.kl_bound': f32(bound),
    'saqr.trained.largest_difference': f32(compared?.most ?? Number.NaN),
    'saqr.trained.same_likeliest': f32(compared?.same ?? Number.NaN),
    'saqr.trained.base_kl': f32(compared?.base?.kl ?? Number.NaN),
    'saqr.trained.share_from_base': f32(compared?.base?.share ?? Number.NaN),
    'saqr.trained.positions': u32(compared?.positions ?? 0),
    'general.quantized_by': text('saqr'),
  }
}

function putFacts(
  from: string,
  to: string,
  metadata: Entries,
  { tensors }: GgufFile,
  compared: Compared & { base: FromBase | null },
  bound: number,
): void {
  try {
    const header = headerBytes({ ...metadata, ...factsOf(compared, bound) }, tensors)
    const fd = openSync(from, 'r+')
    try {
      writeSync(fd, header, 0, header.length, 0)
      fsyncSync(fd)
    } finally {
      closeSync(fd)
    }
    renameSync(from, to)
  } catch (cause) {
    throw fileError(cause, to, 'write')
  }
}
