/** Rows by name: a file, a folder or a data set on the Hub, and parts of its splits. */
import { option, SaqrError, say } from '../error.ts'
import { type Check, type Checks, filled, flag, func, idle, orNull, refused, signal, take, takeOptions, text } from '../hub/arguments.ts'
import { refuseConfig, resolveDataset } from '../hub/dataset.ts'
import { isFile, isFolder } from '../hub/files.ts'
import { ON_PATH } from '../hub/need.ts'
import type { HubProgress } from '../hub/places.ts'
import { Dataset } from './dataset.ts'
import { readRows } from './files.ts'
import { originOf } from './known-rows.ts'
import { openRows } from './rows-on-disk.ts'
import { parseSplit, sliceBounds } from './split.ts'

/** Options of loadDataset. */
export interface LoadDatasetOptions {
  /** a split, or parts of splits: `train` (default), `train[:90%]`, `train[100:200]+test` */
  split?: string | null
  /** configuration ("subset") of a data set on the Hub */
  name?: string | null
  /** branch, tag or commit on the Hub */
  revision?: string | null
  /** access token of the Hub; default: HF_TOKEN, or that of `hf auth login` */
  token?: string | null
  /** with `json`, `csv` or `parquet` as the data set: the file or files of it */
  dataFiles?: string | readonly string[] | null
  /** ends the reading */
  signal?: AbortSignal
  /** hears of every piece that comes from the Hub */
  onProgress?: (progress: HubProgress) => void
  /** accepted: rows are read in one process */
  numProc?: number | null
  /** rows stay on disk and are read when they are asked for; default false */
  streaming?: boolean
}

const files: Check<string | readonly string[]> = {
  what: 'a file or a list of files',
  take: (v) => (Array.isArray(v) ? v.map((one) => take(one, 'dataFiles', filled)) : take(v, 'dataFiles', filled)),
}
const OPTIONS: Checks<LoadDatasetOptions & Record<'trustRemoteCode', undefined>> = {
  split: orNull(filled),
  name: orNull(filled),
  revision: orNull(filled),
  token: orNull(text),
  dataFiles: orNull(files),
  signal,
  onProgress: func('a function'),
  numProc: idle,
  streaming: flag,
  trustRemoteCode: refused('code of a data set is never run; leave it out'),
}

/** What `datasets` calls its readers of files. */
const READERS = new Set(['json', 'csv', 'parquet', 'text'])

/**
 * Reads rows: a .json, .jsonl, .csv, .tsv or .parquet file (but for Parquet, gzipped too), a folder of them, or a data set on the Hub.
 * `loadDataset('owner/name', { split: 'train[:90%]' })`, `loadDataset('owner/name', 'subset')`, `loadDataset('json', { dataFiles })`.
 * @throws SaqrError DATA_FORMAT, DATA_ROW, FORMAT_…: the file and the row that can't be read; HUB_…; OPTION_…
 */
export async function loadDataset(
  path: string,
  config?: string | null | LoadDatasetOptions,
  options?: LoadDatasetOptions,
): Promise<Dataset> {
  const named = typeof config === 'string' ? { name: config } : undefined
  const o = { ...named, ...takeOptions(named || config == null ? options : config, 'loadDataset', OPTIONS) }
  const source = take(path, 'path', filled)
  const given = o.dataFiles == null ? [] : [o.dataFiles].flat()
  if (given.length > 0 && !READERS.has(source))
    throw new SaqrError('OPTION_INVALID', say`${option('dataFiles')} stands beside json, csv or parquet, not ${source}`)
  if (given.length === 0 && READERS.has(source) && !isFile(source))
    throw new SaqrError('OPTION_INVALID', say`loadDataset('${source}') needs ${option('dataFiles')}: a file, or a list of files`)
  const split = o.split ?? 'train'
  const request = { config: o.name ?? undefined, split, revision: o.revision ?? undefined, token: o.token ?? undefined }
  const hub = { ...request, signal: o.signal, onProgress: o.onProgress, streaming: o.streaming }
  const file = given[0] ?? (isFile(source) ? source : undefined)
  if (file !== undefined) refuseConfig(file, request.config)
  if (request.revision !== undefined && (file !== undefined || isFolder(source)))
    throw new SaqrError('OPTION_INVALID', say`${option('revision')} ${request.revision} has no effect on a path: ${ON_PATH}`)
  const read = (path: string) => readFile(path, { streaming: o.streaming, signal: o.signal })
  if (given.length > 0) return cut(Dataset.join(await Promise.all(given.map(read)), given.join(', ')), split)
  if (isFile(source)) return cut(await read(source), split)
  return loadRows(source, hub)
}

export interface RowsRequest {
  /** of a data set on the Hub */
  config?: string
  /** parts of splits */
  split: string
  revision?: string
  token?: string
  signal?: AbortSignal
  onProgress?: (progress: HubProgress) => void
  /** rows stay on disk */
  streaming?: boolean | undefined
  /** nobody changes the rows that are read: those that were prepared before are not read until they are asked for */
  remembered?: boolean
}

type Reading = Pick<RowsRequest, 'streaming' | 'remembered' | 'signal'>

/** Rows of a file, a folder or a Hub data set; a file is any one split of its own. */
export async function loadRows(name: string, { split, streaming, remembered, ...request }: RowsRequest): Promise<Dataset> {
  const slices: Dataset[] = []
  for (const slice of parseSplit(split)) {
    const { files } = await resolveDataset(name, { ...request, split: slice.split })
    const parts: Dataset[] = []
    for (const file of files) parts.push(await readFile(file, { streaming, remembered, signal: request.signal }))
    const whole = Dataset.join(parts, `${name} (${slice.split}, ${files.length} files)`)
    const [first, end] = sliceBounds(slice, whole.length)
    slices.push(first === 0 && end === whole.length ? whole : whole.slice(first, end))
  }
  return Dataset.join(slices, `${name} (${split})`)
}

async function readFile(path: string, { streaming, remembered, signal }: Reading): Promise<Dataset> {
  const origin = remembered && !streaming ? originOf(path) : null
  if (origin?.known) return new Dataset([], path, { known: origin.known, origin: origin.key })
  const { rows, ...place } = streaming ? await openRows(path, signal) : await readRows(path)
  return new Dataset(rows, path, origin?.isUnchanged() ? { ...place, origin: origin.key } : place)
}

/** Parts of a file, whose only split is train. @throws SaqrError DATA_FILES */
function cut(whole: Dataset, split: string): Dataset {
  const slices = parseSplit(split).map((slice) => {
    if (slice.split !== 'train')
      throw new SaqrError('DATA_FILES', `${whole.source} is a file, whose only split is train: there is no ${slice.split}`)
    const [first, end] = sliceBounds(slice, whole.length)
    return first === 0 && end === whole.length ? whole : whole.slice(first, end)
  })
  return Dataset.join(slices, `${whole.source} (${split})`)
}
