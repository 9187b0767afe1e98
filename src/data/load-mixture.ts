/** Several data sets as one, each described as in TRL's `datasets:` (DatasetConfig). */
import { join } from 'node:path'
import { option, SaqrError, say } from '../error.ts'
import { isFolder } from '../hub/files.ts'
import { isObject } from '../hub/json.ts'
import { nearest } from '../hub/nearest.ts'
import type { HubProgress, HubWait } from '../hub/places.ts'
import { Dataset } from './dataset.ts'
import { type DataFiles, loadNamed } from './load.ts'
import { Room } from './room.ts'

export interface PartOfMixture {
  path: string
  name: string | null
  dataDir: string | null
  dataFiles: DataFiles | null
  split: string
  columns: string[] | null
  fraction: number | null
}

type Value = (value: unknown) => boolean
const isText: Value = (v) => typeof v === 'string' && v !== ''
const isTexts: Value = (v) => Array.isArray(v) && v.length > 0 && v.every(isText)

const isFiles: Value = (v) => isText(v) || isTexts(v)
const isFilesOfSplit: Value = (v) => isObject(v) && Object.keys(v).length === 2 && isText(v.split) && isFiles(v.path)
const isFilesBySplit: Value = (v) => {
  const of = isObject(v) ? Object.values(v) : Array.isArray(v) ? v : []
  return of.length > 0 && of.every(isObject(v) ? isFiles : isFilesOfSplit)
}

/** TRL's keys: the name of each here, what it takes, and how that is said */
const KEYS: Readonly<Record<string, [keyof PartOfMixture, Value, string]>> = {
  path: ['path', isText, 'a file, a folder, a Hub id, or json, csv or parquet'],
  name: ['name', isText, 'a configuration of the data set'],
  data_dir: ['dataDir', isText, 'a folder within the path'],
  data_files: ['dataFiles', (v) => isFiles(v) || isFilesBySplit(v), 'a file, a list of files, or those of each split'],
  split: ['split', isText, 'a split, or parts of splits'],
  columns: ['columns', isTexts, 'a list of columns'],
  fraction: ['fraction', (v) => typeof v === 'number' && Number.isFinite(v) && v >= 0, 'a share of at least 0'],
}

/** @throws SaqrError OPTION_INVALID, OPTION_UNKNOWN naming the entry and the key */
export function mixtureOf(entries: readonly Readonly<Record<string, unknown>>[]): PartOfMixture[] {
  const parts = entries.map((entry, i) => partOf(entry, say`${option('datasets')}, entry ${i + 1}`))
  const shared = parts.filter(({ fraction }) => fraction !== null)
  if (shared.length > 0 && shared.length < parts.length)
    throw new SaqrError(
      'OPTION_INVALID',
      say`${option('datasets')}: fraction is given of ${shared.length} of ${parts.length}: give it of all, or of none`,
    )
  return parts
}

function partOf(entry: Readonly<Record<string, unknown>>, where: ReturnType<typeof say>): PartOfMixture {
  const part: Record<string, unknown> = { name: null, dataDir: null, dataFiles: null, split: 'train', columns: null, fraction: null }
  for (const [key, value] of Object.entries(entry)) {
    if (!Object.hasOwn(KEYS, key)) {
      const close = nearest(key, Object.keys(KEYS))
      throw new SaqrError(
        'OPTION_UNKNOWN',
        say`${where}: ${key} is not one of ${Object.keys(KEYS).join(', ')}${close ? `; did you mean ${close}?` : ''}`,
      )
    }
    const [name, holds, what] = KEYS[key]!
    if (value === null && key !== 'path') continue
    if (!holds(value)) throw new SaqrError('OPTION_INVALID', say`${where}: ${key} must be ${what}, not ${JSON.stringify(value)}`)
    part[name] = value
  }
  if (part.path === undefined) throw new SaqrError('OPTION_INVALID', say`${where} has no path: ${KEYS.path![2]}`)
  return part as unknown as PartOfMixture
}

export interface MixtureRequest {
  signal?: AbortSignal
  onProgress?: (progress: HubProgress) => void
  onWait?: (wait: HubWait) => void
  /** rows stay on disk */
  streaming?: boolean
  /** of what the same run has in memory beside; default: of the mixture */
  room?: Room
}

/** All rows one data set after another; with shares, the first rows of each. @throws SaqrError as `loadDataset` */
export async function loadMixture(parts: readonly PartOfMixture[], { room = new Room(), ...request }: MixtureRequest): Promise<Dataset> {
  const datasets: Dataset[] = []
  for (const { path, name, dataDir, dataFiles, split, columns } of parts) {
    const rows = await loadNamed(within(path, dataDir), null, { name, dataFiles, split, ...request }, room)
    datasets.push(columns === null ? rows : rows.selectColumns(columns))
  }
  const shares = parts.map(({ fraction }) => fraction)
  return shares.every((share) => share !== null)
    ? Dataset.mix(datasets, shares)
    : Dataset.join(datasets, datasets.map(({ source }) => source).join(' + '))
}

function within(path: string, dataDir: string | null): string {
  if (dataDir === null) return path
  if (isFolder(path)) return join(path, dataDir)
  throw new SaqrError(
    'OPTION_INVALID',
    say`${option('datasets')}: data_dir ${dataDir} is of a folder here, and ${path} is none: name the files (data_files), or fetch the data set first`,
  )
}
