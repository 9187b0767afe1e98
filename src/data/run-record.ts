/**
 * How a model was trained, kept beside what was trained (saqr.json): a model card says it, in another process and after another export too. It names no
 * path and nobody: what it holds is published with the model.
 */
import { join } from 'node:path'
import { SaqrError } from '../error.ts'
import { isFile } from '../formats/files.ts'
import { isObject, readJsonObject } from '../formats/json.ts'

/** The last run of a model. */
export interface RunRecord {
  /** what it was trained towards: sft, dpo … */
  method: string
  /** its base on the Hub; null: it came from a folder */
  base: string | null
  /** its rows on the Hub; those from files are not named */
  datasets: readonly string[]
  rows: number
  steps: number
  epochs: number
  /** of its rows, in all its steps */
  tokens: number
  /** the last that was logged; null: none was */
  loss: number | null
  /** of the last evaluation; null: there was none */
  evalLoss: number | null
  /** "LoRA r 16, 4.88 M of 139.40 M parameters, in bf16" */
  training: string
  /** as the device describes itself */
  device: string
  /** by TRL's names: those that say how it learns, where they are not the trainer's defaults, and the usual ones */
  options: Readonly<Record<string, number | boolean | string>>
  /** version of saqr, and the day (ISO) it ended */
  saqr: string
  date: string
}

const TYPES = {
  method: 'string', training: 'string', device: 'string', saqr: 'string', date: 'string',
  rows: 'number', steps: 'number', epochs: 'number', tokens: 'number',
} as const // biome-ignore format: a table

/** Null where nothing is said. @throws SaqrError FORMAT_JSON, FORMAT_RUN */
export function readRunRecord(folder: string): RunRecord | null {
  const path = join(folder, 'saqr.json')
  const run = isFile(path) ? readJsonObject(path).run : undefined
  if (run === undefined) return null
  const { base, datasets, loss, evalLoss, options } = isObject(run) ? run : {}
  const sound =
    isObject(run) &&
    Object.entries(TYPES).every(([key, type]) => typeof run[key] === type) &&
    (base === null || typeof base === 'string') &&
    [loss, evalLoss].every((one) => one === null || typeof one === 'number') &&
    Array.isArray(datasets) &&
    datasets.every((one) => typeof one === 'string') &&
    isObject(options)
  if (sound) return run as unknown as RunRecord
  throw new SaqrError(
    'FORMAT_RUN',
    `${path}: run is not what saqr writes of a run. Remove it from the file; it is told in model cards alone.`,
  )
}
