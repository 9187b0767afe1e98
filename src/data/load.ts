/** Rows by name: a file, a folder or a data set on the Hub, and parts of its splits. */
import { option, SaqrError, say } from '../error.ts'
import {
  type Check,
  type Checks,
  filled,
  flag,
  func,
  idle,
  orNull,
  refused,
  signal,
  take,
  takeOptions,
  text,
  unfit,
} from '../hub/arguments.ts'
import { isReadable, refuseConfig, resolveDataset } from '../hub/dataset.ts'
import { isFile, isFolder } from '../hub/files.ts'
import { isObject } from '../hub/json.ts'
import { isPattern, matching } from '../hub/matching.ts'
import { ON_PATH } from '../hub/need.ts'
import { type HubProgress, type HubWait, homed } from '../hub/places.ts'
import { Dataset } from './dataset.ts'
import { readRows } from './files.ts'
import { originOf } from './known-rows.ts'
import { Room } from './room.ts'
import { openRows } from './rows-on-disk.ts'
import { parseSplit, type SplitSlice, sliceBounds } from './split.ts'

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
  /** with `json`, `csv` or `parquet` as the data set: the file or files of it, or those of each split, also as [{ split, path }]; patterns too (`rows/*.jsonl`) */
  dataFiles?: DataFiles | null
  /** ends the reading */
  signal?: AbortSignal
  /** hears of every piece that comes from the Hub */
  onProgress?: (progress: HubProgress) => void
  /** hears of each failure of the Hub's that may pass, before it is asked again */
  onWait?: (wait: HubWait) => void
  /** accepted: rows are read in one process */
  numProc?: number | null
  /** rows stay on disk and are read when they are asked for; default false */
  streaming?: boolean
}

/** a file, or several */
type Files = string | readonly string[]
type FilesBySplit = Readonly<Record<string, Files>>
/** a file, several, or those of each split, as an object or as the list that `datasets` takes too */
export type DataFiles = Files | FilesBySplit | readonly { readonly split: string; readonly path: Files }[]

const aFile: Check<string> = { ...filled, what: 'a file, or a list of at least one' }
const someFiles = (v: unknown): Files =>
  Array.isArray(v) && v.length > 0 ? v.map((one) => take(one, 'dataFiles', filled)) : take(v, 'dataFiles', aFile)
const files: Check<Files | FilesBySplit> = {
  what: 'a file, a list of files, or those of each split: { train: … } or [{ split, path }]',
  take(v) {
    const listed = Array.isArray(v) && v.some(isObject)
    if (listed && !v.every((one) => isObject(one) && Object.keys(one).sort().join() === 'path,split')) return unfit
    if (!listed && !isObject(v)) return someFiles(v)
    const entries = listed
      ? v.map(({ split, path }): [string, unknown] => [take(split, 'dataFiles', aSplit), path])
      : Object.entries(v as object)
    if (entries.length === 0) return unfit
    const twice = entries.find(([split], i) => entries.findIndex(([other]) => other === split) < i)
    if (twice)
      throw new SaqrError(
        'OPTION_INVALID',
        say`${option('dataFiles')}: the split ${twice[0]} stands there twice: give its files as one list`,
      )
    return Object.fromEntries(entries.map(([split, of]) => [split, someFiles(of)]))
  },
}
const aSplit: Check<string> = { ...filled, what: 'the name of a split' }
const OPTIONS: Checks<
  Omit<LoadDatasetOptions, 'dataFiles'> & { dataFiles?: Files | FilesBySplit | null } & Record<'trustRemoteCode', undefined>
> = {
  split: orNull(filled),
  name: orNull(filled),
  revision: orNull(filled),
  token: orNull(text),
  dataFiles: orNull(files),
  signal,
  onProgress: func('a function'),
  onWait: func('a function'),
  numProc: idle,
  streaming: flag,
  trustRemoteCode: refused('code of a data set is never run; leave it out'),
}

/** What `datasets` calls its readers of files. */
const READERS = new Set(['json', 'csv', 'parquet', 'text'])

/**
 * Reads rows: a .json, .jsonl, .csv, .tsv or .parquet file, gzipped too, those that a pattern names (`rows/*.jsonl`), a folder of them, or a
 * data set on the Hub.
 * `loadDataset('owner/name', { split: 'train[:90%]' })`, `loadDataset('owner/name', 'subset')`, `loadDataset('json', { dataFiles })`.
 * @throws SaqrError DATA_FORMAT, DATA_ROW, FORMAT_…: the file and the row that can't be read; HUB_…; OPTION_…
 */
export async function loadDataset(
  path: string,
  config?: string | null | LoadDatasetOptions,
  options?: LoadDatasetOptions,
): Promise<Dataset> {
  return await loadNamed(path, config, options)
}

/** @param room of the run that it is loaded for, in which nobody changes a row: files that it has read are not read again; default: of this load */
export async function loadNamed(
  path: string,
  config: string | null | LoadDatasetOptions | undefined,
  options: LoadDatasetOptions | undefined,
  room?: Room,
): Promise<Dataset> {
  const named = typeof config === 'string' ? { name: config } : undefined
  const o = { ...named, ...takeOptions(named || config == null ? options : config, 'loadDataset', OPTIONS) }
  const source = take(path, 'path', filled)
  const here = isFile(source) || isPattern(source)
  if (o.dataFiles != null && !READERS.has(source))
    throw new SaqrError('OPTION_INVALID', say`${option('dataFiles')} stands beside json, csv or parquet, not ${source}`)
  if (o.dataFiles == null && READERS.has(source) && !here)
    throw new SaqrError('OPTION_INVALID', say`loadDataset('${source}') needs ${option('dataFiles')}: a file, or a list of files`)
  const split = o.split ?? 'train'
  const request = { config: o.name ?? undefined, split, revision: o.revision ?? undefined, token: o.token ?? undefined }
  const reading = { streaming: o.streaming, remembered: room !== undefined, room }
  const files = o.dataFiles ?? (here ? source : null)
  if (files !== null) refuseConfig(o.dataFiles == null ? source : [...filesIn(files)].join(', '), request.config)
  if (request.revision !== undefined && (files !== null || isFolder(source)))
    throw new SaqrError('OPTION_INVALID', say`${option('revision')} ${request.revision} has no effect on a path: ${ON_PATH}`)
  if (files !== null) return await splitsOf(files, split, { ...reading, signal: o.signal })
  const hub = { ...request, ...reading, signal: o.signal, onProgress: o.onProgress, onWait: o.onWait }
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
  onWait?: (wait: HubWait) => void
  /** rows stay on disk */
  streaming?: boolean | undefined
  /** nobody changes the rows that are read: those that were prepared before are not read until they are asked for */
  remembered?: boolean
  /** of what the same run has in memory beside; default: of this load */
  room?: Room
}

type Reading = Pick<RowsRequest, 'streaming' | 'remembered' | 'signal' | 'room'>

/** Rows of a file, a folder or a Hub data set; a file is any one split of its own. */
export async function loadRows(name: string, { split, streaming, remembered, room, ...request }: RowsRequest): Promise<Dataset> {
  const slices = parseSplit(split)
  const files = new Map<string, readonly string[]>()
  for (const slice of slices)
    if (!files.has(slice.split)) files.set(slice.split, (await resolveDataset(name, { ...request, split: slice.split })).files)
  const parts = await readFiles([...files.values()].flat(), { streaming, remembered, room, signal: request.signal })
  const wholes = new Map<string, Dataset>()
  for (const [split, { length }] of files) wholes.set(split, Dataset.join(parts.splice(0, length), `${name} (${split}, ${length} files)`))
  return Dataset.join(
    slices.map((slice) => partOf(wholes.get(slice.split)!, slice)),
    `${name} (${split})`,
  )
}

/** One after the other, into memory together where they are not streamed. */
async function readFiles(paths: readonly string[], reading: Reading): Promise<Dataset[]> {
  const { room = new Room(), streaming = false, remembered } = reading
  // what nobody changes is read once: another part of a file is cut from the rows that are there
  const whole = remembered ? room.whole[streaming ? 'onDisk' : 'inMemory'] : new Map<string, Dataset>()
  const once = remembered ? [...new Set(paths)] : paths
  if (!streaming) room.add(once.filter((path) => !whole.has(path)))
  const read: Dataset[] = []
  for (const path of paths) {
    const rows = whole.get(path) ?? (await readFile(path, streaming ? null : room, reading))
    if (remembered) whole.set(path, rows)
    read.push(rows)
  }
  return read
}

async function readFile(path: string, room: Room | null, { remembered, signal }: Reading): Promise<Dataset> {
  const origin = remembered && room ? originOf(path) : null
  if (origin?.known) return new Dataset([], path, { known: origin.known, origin: origin.key })
  const { rows, ...place } = room ? await readRows(path, room) : await openRows(path, signal)
  return new Dataset(rows, path, origin?.isUnchanged() ? { ...place, origin: origin.key } : place)
}

/** Parts of files' splits; of files that are of none the only one is train. @throws SaqrError DATA_FILES */
async function splitsOf(given: Files | FilesBySplit, split: string, reading: Reading): Promise<Dataset> {
  const named = typeof given === 'object' && !Array.isArray(given)
  const splits = new Map(Object.entries(named ? given : { train: given as Files }).map(([name, of]) => [name, [...filesIn(of)]]))
  const slices = parseSplit(split)
  for (const { split: wanted } of slices)
    if (!splits.has(wanted))
      throw new SaqrError(
        'DATA_FILES',
        named
          ? `there are files of ${[...splits.keys()].join(', ')}, and none of ${wanted}`
          : `${splits.get('train')!.join(', ')} is a file, whose only split is train: there is no ${wanted}`,
      )
  const files = new Map(slices.map(({ split: name }) => [name, splits.get(name)!]))
  const parts = await readFiles([...files.values()].flat(), reading)
  const wholes = new Map([...files].map(([name, paths]) => [name, Dataset.join(parts.splice(0, paths.length), paths.join(', '))]))
  return Dataset.join(
    slices.map((slice) => partOf(wholes.get(slice.split)!, slice)),
    `${[...wholes.values()].map(({ source }) => source).join(', ')} (${split})`,
  )
}

/** Every file that is named, or matches a pattern. @throws SaqrError FORMAT_NOT_FOUND for a pattern that nothing matches */
function* filesIn(given: Files | FilesBySplit): Generator<string> {
  if (typeof given === 'string') yield* isPattern(given) ? matching(given, isReadable) : [homed(given)]
  else for (const one of Object.values(given)) yield* filesIn(one)
}

function partOf(whole: Dataset, slice: SplitSlice): Dataset {
  const [first, end] = sliceBounds(slice, whole.length)
  return first === 0 && end === whole.length ? whole : whole.slice(first, end)
}
