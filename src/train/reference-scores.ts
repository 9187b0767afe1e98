/**
 * What a reference said of rows, in a file of the output folder that grows while they are scored: a run that is stopped or killed, then or later,
 * scores no row twice (but for the last second's), and goes on measured against the same numbers to the bit. A line is some rows: by whom they were scored and how they
 * lay (a hash), their places among the examples, their numbers, and a sum by which a line that a kill or a disk has damaged is known. What
 * isn't this run's, or is damaged, is left out and scored anew.
 */
import { createHash, randomUUID } from 'node:crypto'
import { appendFileSync, existsSync, readFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import type { Example } from '../data/example.ts'
import { SaqrError } from '../error.ts'
import { isObject, stringifyJson } from '../formats/json.ts'
import { fileError, isFileSystem, writeFileAtomic } from '../hub/files.ts'
import type { Resumed } from './checkpoint.ts'
import { wholeDigest, wholeDigestOfStart } from './identity.ts'
import type { Run } from './run.ts'

export const REFERENCE_SCORES = 'reference_scores.jsonl'
/** milliseconds of scoring that a kill may cost */
const OFTEN = 1000

/** which of a run's lists of examples */
export type List = 'trained' | 'evaluated'

/** What of a run tells its rows' scores from others. */
type Scored = Pick<Run, 'identity' | 'cut' | 'evalCut' | 'refModel' | 'model' | 'options' | 'objective' | 'examples' | 'evalExamples'>

export class ReferenceScores {
  readonly #path: string
  readonly #keys: Record<List, string>
  readonly #width: number
  #rows: Record<List, number[]> = { trained: [], evaluated: [] }
  #numbers: Record<List, number[]> = { trained: [], evaluated: [] }
  #written = performance.now()
  /** does the file have only lines that are whole and of this run? */
  #clean: boolean
  /** those lines, and of the file beside the checkpoint those that it lacks */
  #lines: string[]
  /** are there any that it lacks? */
  #brought: boolean
  /** rows that were taken over, and the file they came from */
  readonly taken: { rows: number; from: string } | null
  /** why nothing is kept */
  failed: string | null = null

  /** Takes over what is there of the run's rows. Where nobody can say any more what the reference's files hold, nothing is taken or kept. @throws the signal's reason */
  static async of(outputDir: string, run: Scored, resumed: Resumed | null, signal?: AbortSignal): Promise<ReferenceScores> {
    let keys = { trained: randomUUID() as string, evaluated: randomUUID() as string }
    let failed: string | null = null
    try {
      keys = await keysOf(run, resumed, signal)
    } catch (error) {
      if (signal?.aborted || !(error instanceof SaqrError) || !error.code.startsWith('FORMAT_')) throw error
      failed = error.message
    }
    const kept = new ReferenceScores(outputDir, run, resumed, keys)
    kept.failed ??= failed
    return kept
  }

  private constructor(outputDir: string, run: Scored, resumed: Resumed | null, keys: Record<List, string>) {
    this.#path = join(outputDir, REFERENCE_SCORES)
    this.#keys = keys
    this.#width = run.objective.reference!.width
    const of = (path: string) => {
      const lines = existsSync(path) ? this.#linesOf(path) : []
      let rows = 0
      const own = lines.filter((line) => {
        const taken = this.#take(line, run)
        rows += taken ?? 0
        return taken !== null
      })
      return { path, rows, own, clean: own.length === lines.length }
    }
    const here = of(this.#path)
    // a checkpoint of another folder has its own beside it
    const beside = resumed && join(dirname(resumed.path), REFERENCE_SCORES)
    const there = beside === null || resolve(beside) === resolve(this.#path) ? null : of(beside)
    const known = new Set(here.own)
    const lacking = there?.own.filter((line) => !known.has(line)) ?? []
    this.#lines = [...here.own, ...lacking]
    this.#brought = lacking.length > 0
    this.#clean = here.clean && !this.#brought && existsSync(this.#path)
    const from = [here, ...(there ? [there] : [])].filter(({ rows }) => rows > 0)
    const rows = from.reduce((sum, { rows }) => sum + rows, 0)
    this.taken = rows > 0 ? { rows, from: from.map(({ path }) => path).join(' and ') } : null
  }

  #linesOf(path: string): string[] {
    try {
      const lines = readFileSync(path, 'utf8').split('\n')
      // what a kill left of a line has no end, and is no line
      return lines.at(-1) === '' ? lines.slice(0, -1) : lines
    } catch (cause) {
      if (!isFileSystem(cause)) throw cause
      this.failed = fileError(cause, path, 'read').message
      return []
    }
  }

  /** rows of the line that had no numbers yet; null: it is damaged, or of another run */
  #take(line: string, { objective: { reference }, examples, evalExamples }: Scored): number | null {
    const read = parsed(line)
    const list = (['trained', 'evaluated'] as const).find((list) => this.#keys[list] === read?.key)
    if (!read || !list || read.numbers.length !== this.#width * read.rows.length) return null
    const all: readonly Example[] = (list === 'trained' ? examples : evalExamples) ?? []
    if (!read.rows.every((i) => i < all.length)) return null
    let taken = 0
    for (const [at, i] of read.rows.entries()) {
      const example = all[i]!
      if (reference!.has(example)) continue
      reference!.set(example, read.numbers.slice(this.#width * at, this.#width * (at + 1)))
      taken++
    }
    return taken
  }

  /** Numbers of a row that was scored now. One that is no number is scored anew by whoever goes on. */
  add(list: List, i: number, numbers: ArrayLike<number>): void {
    const all = Array.from(numbers)
    if (!all.every(Number.isFinite)) return
    this.#rows[list].push(i)
    this.#numbers[list].push(...all)
    if (performance.now() - this.#written >= OFTEN) this.write()
  }

  /** Puts what was added into the file. A disk that takes nothing more stops no run. */
  write(): void {
    const made = (['trained', 'evaluated'] as const).flatMap((list) =>
      this.#rows[list].length === 0 ? [] : [lineOf(this.#keys[list], this.#rows[list], this.#numbers[list])],
    )
    this.#rows = { trained: [], evaluated: [] }
    this.#numbers = { trained: [], evaluated: [] }
    this.#written = performance.now()
    if ((made.length === 0 && !this.#brought) || this.failed !== null) return
    try {
      if (this.#clean) appendFileSync(this.#path, made.join(''))
      else writeFileAtomic(this.#path, [...this.#lines.map((line) => `${line}\n`), ...made].join(''))
      this.#clean = true
      this.#brought = false
      this.#lines = []
    } catch (cause) {
      if (!(cause instanceof SaqrError) && !isFileSystem(cause)) throw cause
      this.failed = fileError(cause, this.#path, 'write').message
    }
  }
}

/** Who scored which rows, to the last byte, and how they lay: another reference, or rows that lie otherwise, are scored anew. */
async function keysOf(run: Scored, resumed: Resumed | null, signal: AbortSignal | undefined): Promise<Record<List, string>> {
  const { identity, cut, evalCut, refModel, model, options } = run
  const scorer = refModel?.language ?? model
  // a run that goes on measures against what it began with; where nobody knows that any more, no line is of it
  const whole = resumed && !refModel ? ((await wholeDigestOfStart(model, signal)) ?? randomUUID()) : await wholeDigest(scorer, signal)
  const by = { ...identity.same, reference: whole }
  const rows = { evaluation: identity.options.evaluationRows, batch: options.perDeviceEvalBatchSize, last: options.dataloaderDropLast }
  return {
    trained: digest(stringifyJson([by, cut.maxPassTokens, cut.prefixSharing], { sortKeys: true })),
    evaluated: digest(stringifyJson([by, rows, evalCut.maxPassTokens, evalCut.prefixSharing], { sortKeys: true })),
  }
}

const digest = (text: string) => createHash('sha256').update(text).digest('hex').slice(0, 16)

function lineOf(key: string, rows: readonly number[], numbers: readonly number[]): string {
  const what = { key, rows, numbers }
  return `${JSON.stringify({ ...what, sum: digest(JSON.stringify(what)) })}\n`
}

/** null: not what `lineOf` writes */
function parsed(line: string): { key: string; rows: number[]; numbers: number[] } | null {
  try {
    const read: unknown = JSON.parse(line)
    if (!isObject(read)) return null
    const { key, rows, numbers, sum } = read as { key: string; rows: number[]; numbers: number[]; sum: string }
    return sum === digest(JSON.stringify({ key, rows, numbers })) ? { key, rows, numbers } : null
  } catch {
    return null
  }
}
