/** Weights & Biases: a run's `.wandb` file, and online the same sent as it grows; names as transformers' WandbCallback gives them. */
import { randomInt } from 'node:crypto'
import { rmSync } from 'node:fs'
import { availableParallelism, platform, release, totalmem } from 'node:os'
import { join, resolve } from 'node:path'
import type { EvalEvent, LogEvent, NoteEvent, StartEvent, WarningEvent } from '../events.ts'
import { type RunFolder, runFolder } from '../run-folder.ts'
import { scalarsOf } from '../scalars.ts'
import { systemMetrics } from '../system.ts'
import type { Tracker } from '../tracker.ts'
import { type WandbFile, wandbFile } from './file.ts'
import {
  axis,
  config,
  environment,
  exit,
  header,
  history,
  type RunInfo,
  runFile,
  run as runRecord,
  stats,
  summary,
  type Values,
} from './records.ts'
import type { WandbSettings } from './settings.ts'
import { ANSWERS, writeTable } from './table.ts'
import { type Bases, PACE, type Pace, Upload } from './upload.ts'

export interface WandbOptions {
  settings: WandbSettings
  /** null: as the settings say, else W&B finds one */
  name: string | null
  now?: () => Date
  pace?: Pace
  /** seconds that the end of a run may wait for the server */
  patience?: number
}

/** what the curves are drawn over */
const AXIS = 'train/global_step'
/** numbers of a whole run: no curves, as transformers has it */
const OF_THE_RUN = new Set(['train_runtime', 'train_samples_per_second', 'train_steps_per_second', 'train_loss', 'total_flos'])
/** seconds between two looks at the machine */
const LOOK = 15

const FINISHED = 0
const FAILED = 1
/** as wandb says that somebody stopped it */
const STOPPED = 255

export function wandb({ settings, name, now = () => new Date(), pace = PACE, patience = 30 }: WandbOptions): Tracker {
  const told: (NoteEvent | WarningEvent)[] = []
  const note = (message: string) => void told.push({ type: 'note', message })
  const warn = (message: string) => void told.push({ type: 'warning', message })
  const seconds = () => now().getTime() / 1000
  let file: WandbFile | undefined
  let upload: Upload | undefined
  let folder: RunFolder
  let began = 0
  let step = 0
  let looked = Number.NEGATIVE_INFINITY
  let look: () => Record<string, number>
  let latest: Record<string, unknown> = {}

  const times = () => ({ _timestamp: seconds(), _runtime: seconds() - began })
  const log = (values: Values, ofRun: Values = {}) => {
    const line = { ...values, ...times(), _step: step++ }
    file!.write(history(line._step, line))
    latest = { ...latest, ...line, ...ofRun }
    file!.write(summary({ ...line, ...ofRun }))
    upload?.add('history', line)
    upload?.send(latest)
  }
  const watch = () => {
    if (seconds() - looked < LOOK) return
    looked = seconds()
    const values = look()
    file!.write(stats(looked, values))
    upload?.add('events', eventLine(values, looked, looked - began))
  }
  const finish = async (code: number, limit: number) => {
    const open = file!
    file = undefined
    open.write(exit(code, Math.round(seconds() - began)))
    open.close()
    if (!upload) return
    const told = setTimeout(() => note(`the end of the run waits for W&B (${settings.baseUrl}), up to ${limit} s`), 500)
    const sent = await upload.finish(code, limit).finally(() => clearTimeout(told))
    if (sent) return
    const why = upload.refused ?? 'it can’t be reached'
    const what = upload.missing > 0 ? `${upload.missing} lines of the log are not in W&B` : 'W&B does not know that the run is over'
    warn(`${what} (${why}): nothing is lost, wandb sync ${folder.path} uploads the run`)
  }

  return {
    start(run) {
      const place = placeOf(run, settings, now())
      folder = place.folder
      const path = join(folder.path, `run-${place.id}.wandb`)
      // what it goes on with has not been uploaded
      rmSync(`${path}.synced`, { force: true })
      file = wandbFile(path, place.id)
      const before: Values[] = file.before.flatMap((one) => (one.kind === 'history' ? [one.values] : []))
      const runtime = Number(before.at(-1)?._runtime ?? 0)
      began = seconds() - runtime
      step = before.length
      latest = Object.assign({}, ...before)
      const info = infoOf(place.id, settings, name, began)
      const values = configOf(run)
      if (file.before.length === 0)
        for (const record of [header('saqr'), runRecord(info), environment(machine(place.id, info)), config(values), ...axis(AXIS)])
          file.write(record)
      else file.write(config(values))
      look = systemMetrics(run.device.startsWith('cuda'))
      if (settings.mode !== 'online') note(`W&B is offline: wandb sync ${folder.path} uploads the run`)
      else upload = uploadOf(info, values, file, { settings, pace, folder, note, warn, began })
      watch()
      upload?.send(latest)
    },
    log(event) {
      if (event.type === 'step') watch()
      else if (event.type === 'log' || event.type === 'eval') log(named(event))
      else if (event.type === 'answers') {
        const table = writeTable(folder.path, step, event)
        file!.write(runFile(table.path))
        log({ [ANSWERS]: table, [AXIS]: event.step })
      }
    },
    async end(event) {
      const entries = Object.entries(scalarsOf(event)).map(([key, value]) => [key.replace(/^train\//, ''), value] as const)
      const ofRun = Object.fromEntries(entries.filter(([key]) => OF_THE_RUN.has(key)))
      const others = Object.fromEntries(entries.flatMap(([key, value]) => (OF_THE_RUN.has(key) ? [] : [[`train/${key}`, value]])))
      looked = Number.NEGATIVE_INFINITY
      watch()
      log({ ...others, [AXIS]: event.step }, ofRun)
      await finish(event.finished ? FINISHED : STOPPED, patience)
    },
    async close() {
      // a run that failed has no end
      if (file) await finish(FAILED, patience / 3)
    },
    news: () => told.splice(0),
  }
}

const named = (event: LogEvent | EvalEvent) => ({ ...scalarsOf(event), [AXIS]: event.step })

/** The run's own folder and id: those of its beginning where it goes on, as long as nobody names another. */
function placeOf(run: StartEvent, { dir, mode, runId }: WandbSettings, now: Date): { folder: RunFolder; id: string } {
  const id = runId ?? newId()
  const parent = join(resolve(dir ?? run.outputDir), 'wandb')
  const name = `${mode === 'offline' ? 'offline-' : ''}run-${stamp(now)}-${id}`
  const found = runFolder(parent, run, name)
  const kept = found.kept?.id
  if (typeof kept === 'string' && (runId === null || runId === kept)) return { folder: found, id: kept }
  const folder = found.kept === null ? found : runFolder(parent, { ...run, doneSteps: 0 }, name)
  folder.keep({ id })
  return { folder, id }
}

/** eight letters and digits, as wandb makes them */
const newId = () => Array.from({ length: 8 }, () => randomInt(36).toString(36)).join('')

/** 20261126_113952 */
function stamp(date: Date): string {
  const two = (n: number) => String(n).padStart(2, '0')
  const [day, time] = [
    [date.getMonth() + 1, date.getDate()],
    [date.getHours(), date.getMinutes(), date.getSeconds()],
  ]
  return `${date.getFullYear()}${day.map(two).join('')}_${time.map(two).join('')}`
}

function infoOf(id: string, s: WandbSettings, name: string | null, started: number): RunInfo {
  const { entity, project, group, jobType, notes, tags, host } = s
  return { id, entity, project, group, jobType, name: name ?? s.name, notes, tags, host, started }
}

function machine(id: string, { host, started }: RunInfo) {
  const os = `${platform()}-${release()}`
  return { os, host, started, processors: availableParallelism(), memory: totalmem(), writer: id }
}

/** the model's options, over them the run's, as transformers has it */
function configOf({ config: { model, args, adapter, parameters } }: StartEvent): Values {
  return { ...(adapter ? { peft_config: adapter } : {}), ...model, ...args, 'model/num_parameters': parameters.all }
}

/** system metrics as W&B's server has them */
const eventLine = (values: Values, time: number, runtime: number): Values => ({
  ...Object.fromEntries(Object.entries(values).map(([key, value]) => [`system.${key}`, value])),
  _wandb: true,
  _timestamp: time,
  _runtime: runtime,
})

interface Uploading {
  settings: WandbSettings
  pace: Pace
  folder: RunFolder
  note(message: string): void
  warn(message: string): void
  began: number
}

function uploadOf(run: RunInfo, values: Values, file: WandbFile, { settings, pace, folder, note, warn, began }: Uploading): Upload {
  const { baseUrl, apiKey, timeout } = settings
  const bases = folder.kept?.bases as Bases | undefined
  const upload = new Upload({
    server: { baseUrl, apiKey: apiKey!, timeout },
    run,
    config: { ...values, _wandb: { t: {}, m: METRICS } },
    bases: file.before.length === 0 ? null : (bases ?? { history: 0, events: 0 }),
    files: folder.path,
    lost: (path, why) => warn(`W&B’s storage ${why}: ${path} is not in W&B. It is kept in ${folder.path}, and wandb sync uploads it`),
    keepBases: (bases) => folder.keep({ ...folder.kept, id: run.id, bases }),
    reached: ({ entity, project, name }) =>
      note(
        `W&B has this run as ${name}: ${baseUrl.replace(/^https:\/\/api\.wandb\.ai$/, 'https://wandb.ai')}/${entity}/${project}/runs/${run.id}`,
      ),
    trouble: (why, final) => {
      if (why === null) note(`W&B answers again (${baseUrl})`)
      else warn(`W&B (${baseUrl}): ${why}. What is logged is kept in ${folder.path}${final ? '' : ', and sent when it answers'}`)
    },
    pace,
  })
  for (const one of file.before) {
    if (one.kind === 'history') upload.add('history', one.values)
    if (one.kind === 'stats') upload.add('events', eventLine(one.values, one.time, one.time - began))
  }
  return upload
}

/** the axis, as the server has it among a run's options */
const METRICS = [
  { 1: AXIS, 6: [3], 7: [] },
  { 2: '*', 5: 1, 6: [1], 7: [] },
]
