/** A TRL configuration as both sides take it: what saqr makes of it, and what of it is changed for the proof. */
import { join } from 'node:path'
import { type Message, option, SaqrError, say } from '../../error.ts'
import { isFile } from '../../hub/files.ts'
import { readText } from '../../hub/json.ts'
import { isPattern } from '../../hub/matching.ts'
import { homeFolder } from '../../hub/places.ts'
import type { Objective } from '../../train/objectives/objective.ts'
import type { VerbOptions } from '../../train/options/common.ts'
import { own } from '../../train/options/own.ts'
import { type Given, resolve } from '../../train/options/resolve.ts'
import { responses } from '../../train/options/responses.ts'
import { renamed } from '../../train/options/retired.ts'
import { spelling } from '../../train/options/spelling.ts'
import { followsMetric } from '../../train/schedule/schedule.ts'
import { readConfig } from '../config-file.ts'
import { KINDS, type Kind } from './kinds.ts'

/** An option that both sides run with another value than the file's, and why. */
export interface Changed {
  name: string
  before: unknown
  now: unknown
  why: string
}

export interface Recipe {
  kind: string
  theirs: string
  path: string
  /** what stands in the file, without its secrets */
  text: string
  /** as saqr's side of the proof runs: nothing is evaluated, saved or reported */
  options: VerbOptions
  objective: Objective
  changed: Changed[]
  env: Readonly<Record<string, string>>
  trainer: Kind['trainer']
}

const RANDOM = 'no two programs draw the same random bits'

/**
 * @param more options that are given beside the file, by their names in it
 * @throws SaqrError as `saqr sft --config` would; OPTION_INVALID for what TRL doesn't know or can't open
 */
export function readRecipe(kind: string, path: string, more: Readonly<Record<string, unknown>>, work: string): Recipe {
  const { theirs, fields, check, objective, trainer } = KINDS[kind]!
  const { given, env } = readConfig(path, fields, renamed)
  const all: Given[] = [...given, ...Object.entries(more).map(([name, value]) => ({ name, value, said: `--${name}` }))]
  const unknown = given.find(({ name }) => Object.hasOwn(own, name) || Object.hasOwn(responses, name))
  if (unknown)
    throw new SaqrError(
      'OPTION_INVALID',
      `${unknown.said} is saqr's own, and TRL has no such option: leave it out of what both are to run (--device, --threads and --memory are options of saqr prove)`,
    )
  try {
    const options = resolve(fields, all).options as unknown as VerbOptions
    check(options)
    if (followsMetric(options.lrSchedulerType))
      throw new SaqrError(
        'OPTION_INVALID',
        say`${option('lrSchedulerType')} ${options.lrSchedulerType} follows evaluations, and nothing is evaluated in the steps of a proof: name another`,
      )
    refuseHome(options)
    refuseFiles(options)
    const { quiet, changed } = quieted(options)
    return {
      ...{ kind, path, theirs },
      text: withoutSecrets(readText(path), given, env),
      options: { ...quiet, outputDir: work },
      objective: objective(options),
      changed,
      env,
      trainer,
    }
  } catch (error) {
    if (!(error instanceof SaqrError)) throw error
    // by the names in the file, whatever the verb calls its own
    throw new SaqrError(error.code, error.said.spelled(spelling(fields, all)), { cause: error.cause })
  }
}

/** What a shell makes of `~`, Python doesn't: it looks for a folder of that name, or on the Hub. @throws SaqrError OPTION_INVALID */
function refuseHome({ modelNameOrPath, chatTemplatePath, datasetName, datasets }: VerbOptions): void {
  const named: [said: Message, path: unknown][] = [
    [say`${option('modelNameOrPath')}`, modelNameOrPath],
    [say`${option('chatTemplatePath')}`, chatTemplatePath],
    ...(datasets.length === 0 ? [[say`${option('datasetName')}`, datasetName] as [Message, unknown]] : []),
    ...datasets.flatMap(({ path, data_files }, i) =>
      [path, ...filesIn(data_files)].map((one): [Message, unknown] => [say`${option('datasets')}, entry ${i + 1}:`, one]),
    ),
  ]
  for (const [said, path] of named) {
    if (typeof path !== 'string' || !/^~(\/|$)/.test(path)) continue
    const whole = join(homeFolder(), path.slice(1))
    throw new SaqrError(
      'OPTION_INVALID',
      say`${said} ${path}: in a file ~ is no home folder to TRL, which would not find it. Write ${whole}`,
    )
  }
}

/** of data_files: a path, a list, or either by split */
function filesIn(value: unknown): unknown[] {
  if (value == null) return []
  return typeof value === 'object' ? Object.values(value).flatMap(filesIn) : [value]
}

/** `load_dataset` takes a file for a name on the Hub, and looks for it there for half a minute. @throws SaqrError OPTION_INVALID */
function refuseFiles({ datasetName, datasets }: VerbOptions): void {
  const named: [said: Message, path: unknown][] =
    datasets.length === 0
      ? [[say`${option('datasetName')}:`, datasetName]]
      : datasets.flatMap(({ path, data_files }, i) => (data_files == null ? [[say`${option('datasets')}, entry ${i + 1}:`, path]] : []))
  for (const [said, path] of named) {
    if (typeof path !== 'string' || !(isFile(path) || isPattern(path))) continue
    const reader = /\.parquet$/i.test(path) ? 'parquet' : /\.csv(\.gz)?$/i.test(path) ? 'csv' : 'json'
    const instead = /\.tsv(\.gz)?$/i.test(path)
      ? ': name a folder with it alone'
      : `. Both take it as\n  datasets:\n    - path: ${reader}\n      data_files: ${path}`
    throw new SaqrError(
      'OPTION_INVALID',
      say`${said} ${path} ${isFile(path) ? 'is a file' : 'names files'}, and TRL would look for such a name on the Hub${instead}`,
    )
  }
}

function quieted(o: VerbOptions): { quiet: VerbOptions; changed: Changed[] } {
  const changed: Changed[] = []
  const quiet: VerbOptions = {
    ...o,
    ...{ evalStrategy: 'no', evalOnStart: false, saveStrategy: 'no', loadBestModelAtEnd: false, earlyStoppingPatience: null },
    ...{ reportTo: 'none', pushToHub: false, loggingStrategy: 'steps', loggingSteps: 1, resumeFromCheckpoint: null },
  }
  if (o.usePeft && o.loraDropout > 0) {
    changed.push({ name: 'lora_dropout', before: o.loraDropout, now: 0, why: RANDOM })
    // the run itself would not share them: neither does its measure of speed
    Object.assign(quiet, { loraDropout: 0, prefixSharing: false })
  }
  if (o.neftuneNoiseAlpha) {
    changed.push({ name: 'neftune_noise_alpha', before: o.neftuneNoiseAlpha, now: null, why: RANDOM })
    Object.assign(quiet, { neftuneNoiseAlpha: null, prefixSharing: false })
  }
  return { quiet, changed }
}

/** Values of tokens and keys, wherever they stand in the text, become dots. */
function withoutSecrets(text: string, given: readonly Given[], env: Recipe['env']): string {
  const named = [...given.map(({ name, value }) => [name, value] as const), ...Object.entries(env)]
  const secrets = named.flatMap(([name, value]) =>
    /(^|_)(token|key|secret|password)$/i.test(name) && !/^(bos|eos|pad|unk)_token$/.test(name) && typeof value === 'string' && value !== ''
      ? [value]
      : [],
  )
  return secrets.reduce((rest, secret) => rest.replaceAll(secret, '…'), text)
}
