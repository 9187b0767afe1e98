/** What a job is asked for, looked at before anything is made of it: each error names its parameter as OpenAI writes it. */
import { randomInt } from 'node:crypto'
import { option, SaqrError, say } from '../error.ts'
import {
  type Check,
  type Checks,
  either,
  entriesOf,
  filled,
  kind,
  mapping,
  number,
  orNull,
  take,
  takeOptions,
  Unfit,
  unfit,
  whole,
  word,
} from '../hub/arguments.ts'
import { nearest } from '../hub/nearest.ts'
import { type FineTuningHyperparameters, type FineTuningJobRequest, type FineTuningMethod, methodOf } from './objects.ts'

export interface CheckedRequest {
  model: string
  trainingFile: string
  validationFile: string | null
  method: FineTuningMethod
  suffix: string | null
  seed: number
  metadata: Record<string, string> | null
}

const auto = word({ auto: 'auto' as const })
const hyperparameters = {
  n_epochs: either(auto, whole(1, 50)),
  batch_size: either(auto, whole(1, 256)),
  learning_rate_multiplier: either(
    auto,
    number('a number above 0', (n) => n > 0),
  ),
}
const ofPairs = {
  ...hyperparameters,
  beta: either(
    auto,
    number('a number above 0 and at most 2', (n) => n > 0 && n <= 2),
  ),
}

const METHODS = ['supervised', 'dpo'] as const
const methodName: Check<FineTuningMethod['type']> = word(Object.fromEntries(METHODS.map((name) => [name, name])) as never, {
  reinforcement: 'no grader runs here; use supervised or dpo',
})

const metadata: Check<Record<string, string>> = kind(
  'at most 16 texts of up to 512 characters under names of up to 64',
  (v) =>
    !(mapping.take(v) instanceof Unfit) &&
    Object.keys(v as object).length <= 16 &&
    Object.entries(v as object).every(([name, value]) => name.length <= 64 && typeof value === 'string' && value.length <= 512),
)

const REQUEST: Checks<Omit<FineTuningJobRequest, 'integrations'> & { integrations: undefined }> = {
  model: filled,
  training_file: filled,
  validation_file: orNull(filled),
  method: orNull(mapping as Check<never>),
  hyperparameters: orNull(mapping as Check<never>),
  suffix: orNull(kind('up to 64 letters, digits, - and _', (v) => typeof v === 'string' && /^[A-Za-z0-9_-]{1,64}$/.test(v))),
  seed: orNull(whole(0, 2 ** 31 - 1)),
  metadata: orNull(metadata),
  integrations: {
    what: 'an empty list',
    take: (v) =>
      v === null || (Array.isArray(v) && v.length === 0)
        ? undefined
        : Array.isArray(v)
          ? new Unfit('runs of jobs are not reported to other services; read their events')
          : unfit,
  },
}

const OF = 'a fine-tuning job'

/** @throws SaqrError OPTION_UNKNOWN, OPTION_INVALID, OPTION_REFUSED */
export function takeRequest(given: unknown): CheckedRequest {
  for (const [name] of entriesOf(given, OF)) {
    if (Object.hasOwn(REQUEST, name)) continue
    const close = nearest(name.slice(0, 60), Object.keys(REQUEST))
    const hint = close ? `: did you mean ${close}?` : ''
    throw new SaqrError('OPTION_UNKNOWN', say`${OF} has no parameter ${option(name.slice(0, 60))}${hint}`)
  }
  const o = takeOptions(given, OF, REQUEST)
  for (const name of ['model', 'training_file'] as const)
    if (o[name] === undefined) throw new SaqrError('OPTION_INVALID', say`a fine-tuning job needs ${option(name)}`)
  return {
    model: o.model!,
    trainingFile: o.training_file!,
    validationFile: o.validation_file ?? null,
    method: takeMethod(o.method ?? null, o.hyperparameters ?? null),
    suffix: o.suffix ?? null,
    seed: o.seed ?? randomInt(2 ** 31),
    metadata: o.metadata ?? null,
  }
}

function takeMethod(method: object | null, older: object | null): FineTuningMethod {
  if (method === null) return methodOf('supervised', takeHyperparameters(older, 'supervised', 'hyperparameters'))
  if (older !== null)
    throw new SaqrError(
      'OPTION_INVALID',
      say`${option('hyperparameters')} is the older place of those in ${option('method')}: keep the latter`,
    )
  const { type: given, ...rest } = method as Record<string, unknown>
  const type = take(given, 'method.type', methodName)
  const other = Object.keys(rest).find((name) => name !== type && rest[name] !== null && rest[name] !== undefined)
  if (other !== undefined) throw new SaqrError('OPTION_INVALID', say`${option(`method.${other}`)} has no effect: the method is ${type}`)
  const own = take(rest[type] ?? {}, `method.${type}`, mapping)
  const strange = Object.keys(own).find((name) => name !== 'hyperparameters')
  if (strange !== undefined)
    throw new SaqrError('OPTION_UNKNOWN', say`${option(`method.${type}.${strange}`)}: there is hyperparameters alone`)
  return methodOf(type, takeHyperparameters(own.hyperparameters, type, `method.${type}.hyperparameters`))
}

function takeHyperparameters(given: unknown, type: FineTuningMethod['type'], at: string): FineTuningHyperparameters {
  const checks: Readonly<Record<string, Check<number | 'auto'>>> = type === 'dpo' ? ofPairs : hyperparameters
  const values: Record<string, number | 'auto'> = Object.fromEntries(Object.keys(checks).map((name) => [name, 'auto']))
  for (const [name, value] of Object.entries(take(given ?? {}, at, mapping))) {
    const check = Object.hasOwn(checks, name) ? checks[name]! : undefined
    if (check === undefined)
      throw new SaqrError(
        'OPTION_UNKNOWN',
        say`${option(`${at}.${name.slice(0, 60)}`)} is not known: there are ${Object.keys(checks).join(', ')}`,
      )
    if (value !== null && value !== undefined) values[name] = take(value, `${at}.${name}`, check)
  }
  return values as unknown as FineTuningHyperparameters
}
