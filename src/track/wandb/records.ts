/** Records of a .wandb file (wandb/proto/wandb_internal.proto): what a run is, and each thing that is logged. */
import { bytes, fieldsOf, int, message, type ProtoField } from '../../formats/protobuf.ts'

/** field numbers of Record */
const HISTORY = 2
const SUMMARY = 3
const CONFIG = 5
const FILES = 6
const STATS = 7
const METRIC = 12
const RUN = 17
const EXIT = 18
const HEADER = 21
const ENVIRONMENT = 26

export type Values = Readonly<Record<string, unknown>>

export interface RunInfo {
  id: string
  entity: string | null
  project: string
  group: string | null
  jobType: string | null
  name: string | null
  notes: string | null
  tags: readonly string[]
  host: string
  /** seconds since 1970 */
  started: number
}

export const header = (producer: string) => bytes(HEADER, bytes(1, message(bytes(1, producer), bytes(2, MIN_CONSUMER))))

/** what wandb writes itself */
const MIN_CONSUMER = '0.70.0'

export const run = (r: RunInfo) =>
  bytes(
    RUN,
    message(
      bytes(1, r.id),
      given(2, r.entity),
      bytes(3, r.project),
      given(6, r.group),
      given(7, r.jobType),
      given(8, r.name),
      given(9, r.notes),
      ...r.tags.map((tag) => bytes(10, tag)),
      bytes(13, r.host),
      bytes(17, timestamp(r.started)),
    ),
  )

export interface Environment {
  os: string
  host: string
  started: number
  processors: number
  memory: number
  writer: string
}

export const environment = (e: Environment) =>
  bytes(
    ENVIRONMENT,
    message(
      bytes(1, e.os),
      bytes(3, timestamp(e.started)),
      bytes(12, e.host),
      int(17, e.processors),
      bytes(21, int(1, e.memory)),
      bytes(199, e.writer),
    ),
  )

export const config = (values: Values) => bytes(CONFIG, items(1, values))

export const summary = (values: Values) => bytes(SUMMARY, items(1, values))

export const history = (step: number, values: Values) => bytes(HISTORY, message(items(1, values), bytes(2, int(1, step))))

/** a file below the run's folder, which is uploaded with it */
export const runFile = (path: string) => bytes(FILES, bytes(1, bytes(1, path)))

/** @param time seconds since 1970 */
export const stats = (time: number, values: Values) => bytes(STATS, message(bytes(2, timestamp(time)), items(3, values)))

/** What curves are drawn over: a metric of the run, for all the others. */
export const axis = (name: string): ProtoField[] => [
  bytes(METRIC, message(bytes(1, name), bytes(6, int(3, 1)))),
  bytes(METRIC, message(bytes(2, '*'), bytes(4, name), bytes(6, message(int(1, 1), int(3, 1))))),
]

export const exit = (code: number, runtime: number) => bytes(EXIT, message(int(1, code), int(2, runtime)))

/** A record as it stands in the file. @param number its place there, from 1 */
export const record = (number: number, content: ProtoField, id: string) => message(int(1, number), content, bytes(200, bytes(1, id)))

/** What is read of a record again: the values of one of history or statistics, or that it is an exit. */
export type Read = { kind: 'history' | 'stats'; values: Record<string, unknown>; time: number } | { kind: 'exit' | 'other' }

export function read(content: Uint8Array): Read {
  for (const { field, value } of fieldsOf(content) ?? []) {
    if (field === EXIT) return { kind: 'exit' }
    if ((field !== HISTORY && field !== STATS) || typeof value === 'number') continue
    const inside = fieldsOf(value) ?? []
    const values = inside.filter((one) => one.field === (field === HISTORY ? 1 : 3)).map((one) => itemOf(one.value as Uint8Array))
    const time = field === STATS ? secondsOf(inside.find((one) => one.field === 2)?.value) : 0
    return { kind: field === HISTORY ? 'history' : 'stats', values: Object.fromEntries(values), time }
  }
  return { kind: 'other' }
}

const given = (field: number, value: string | null) => (value === null ? null : bytes(field, value))

/** names with slashes and dots are one key */
const items = (field: number, values: Values) =>
  message(...Object.entries(values).map(([key, value]) => bytes(field, message(bytes(1, key), bytes(16, valueJson(value))))))

/** As Python's json writes it, and W&B reads it: NaN and Infinity by their names. */
const valueJson = (value: unknown): string => (typeof value === 'number' && !Number.isFinite(value) ? String(value) : JSON.stringify(value))

/** values as a line of W&B's history */
export const lineOf = (values: Values): string =>
  `{${Object.entries(values).map(([key, value]) => `${JSON.stringify(key)}:${valueJson(value)}`)}}`

const NAMED: Readonly<Record<string, number>> = {
  NaN: Number.NaN,
  Infinity: Number.POSITIVE_INFINITY,
  '-Infinity': Number.NEGATIVE_INFINITY,
}

function itemOf(content: Uint8Array): [string, unknown] {
  const text = (number: number) =>
    Buffer.from((fieldsOf(content)?.find(({ field }) => field === number)?.value ?? []) as Uint8Array).toString()
  const value = text(16)
  return [text(1), NAMED[value] ?? JSON.parse(value)]
}

function timestamp(seconds: number): Uint8Array {
  const whole = Math.floor(seconds)
  return message(int(1, whole), int(2, 1000 * Math.round((seconds - whole) * 1e6)))
}

function secondsOf(content: number | Uint8Array | undefined): number {
  const parts = content instanceof Uint8Array ? fieldsOf(content) : undefined
  const of = (number: number) => Number(parts?.find(({ field }) => field === number)?.value ?? 0)
  return of(1) + of(2) / 1e9
}
