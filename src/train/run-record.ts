/** What is kept of a run that ended: for model cards. */
import { isDeepStrictEqual } from 'node:util'
import type { RunRecord } from '../data/run-record.ts'
import { exists } from '../hub/files.ts'
import { isRepositoryName } from '../hub/repository.ts'
import { version } from '../hub/version.ts'
import type { EndEvent, EvalEvent, StartEvent } from '../track/events.ts'
import { camel, type Fields } from './options/field.ts'
import { logging } from './options/logging.ts'
import { own } from './options/own.ts'
import { hub, saving } from './options/saving.ts'
import type { Run } from './run.ts'

/** what goes where, and what is said: nothing of the model */
const ELSEWHERE = new Set(Object.keys({ ...logging, ...saving, ...hub, ...own }))
/** said even where they are the trainer's defaults */
const USUAL = ['learning_rate', 'lr_scheduler_type', 'per_device_train_batch_size', 'gradient_accumulation_steps', 'optim', 'seed']

/** @param source what messages call the rows; @param table the trainer's options */
export function runRecord(
  { objective, options }: Run,
  source: string,
  table: Fields,
  { base, start, evaluated, end }: { base: string | null; start: StartEvent; evaluated: EvalEvent | null; end: EndEvent },
): RunRecord {
  return {
    method: objective.name,
    base,
    datasets: hubSets(source),
    rows: start.rows,
    steps: end.step,
    epochs: end.metrics.epoch,
    tokens: end.whole.tokens,
    loss: end.whole.loss,
    evalLoss: evaluated?.evalLoss ?? null,
    training: start.training,
    device: start.device,
    options: told(options as object as Record<string, unknown>, table),
    saqr: version(),
    date: new Date().toISOString().slice(0, 10),
  }
}

/** "owner/name (train)", several joined by + */
function hubSets(source: string): string[] {
  return source.split(' + ').flatMap((one) => {
    const name = one.replace(/ \(.*$/, '')
    return /^[^/]+\/[^/]+$/.test(name) && isRepositoryName(name) && !/\.\w{2,8}(\.gz)?$/.test(name) && !exists(name) ? [name] : []
  })
}

/** Values that may be published: numbers, truth values, words. */
function told(options: Readonly<Record<string, unknown>>, table: Fields): RunRecord['options'] {
  const all = Object.entries(table).flatMap(([name, field]): [string, number | boolean | string][] => {
    const value = options[camel(name)]
    if (field.status !== 'honoured' || ELSEWHERE.has(name)) return []
    if (!USUAL.includes(name) && isDeepStrictEqual(value, field.initial)) return []
    const plain = typeof value === 'number' || typeof value === 'boolean' || (typeof value === 'string' && /^\w+$/.test(value))
    return plain ? [[name, value as number | boolean | string]] : []
  })
  return Object.fromEntries(all)
}
