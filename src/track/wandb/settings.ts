/** What the environment says of Weights & Biases, by the names that wandb documents. */
import { readFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { SaqrError } from '../../error.ts'
import { homeFolder } from '../../hub/places.ts'

type Env = NodeJS.ProcessEnv

export interface WandbSettings {
  mode: 'online' | 'offline' | 'disabled'
  baseUrl: string
  /** null: none was found, which only offline is enough */
  apiKey: string | null
  entity: string | null
  project: string
  name: string | null
  notes: string | null
  tags: readonly string[]
  group: string | null
  jobType: string | null
  /** null: one is made */
  runId: string | null
  /** where the folder wandb is; null: output_dir */
  dir: string | null
  host: string
  /** seconds that an answer may take */
  timeout: number
}

const CLOUD = 'https://api.wandb.ai'

/** @throws SaqrError OPTION_INVALID for what can't be done, and where there is no key to report with */
export function wandbSettings(env: Env): WandbSettings {
  const of = (name: string) => env[name]?.trim() || null
  const baseUrl = (of('WANDB_BASE_URL') ?? CLOUD).replace(/\/+$/, '')
  const settings: WandbSettings = {
    mode: modeOf(env),
    baseUrl,
    apiKey: of('WANDB_API_KEY') ?? savedKey(env, baseUrl),
    entity: of('WANDB_ENTITY'),
    project: of('WANDB_PROJECT') ?? 'huggingface',
    name: of('WANDB_NAME'),
    notes: of('WANDB_NOTES'),
    tags: (of('WANDB_TAGS') ?? '').split(',').flatMap((tag) => tag.trim() || []),
    group: of('WANDB_RUN_GROUP'),
    jobType: of('WANDB_JOB_TYPE'),
    runId: of('WANDB_RUN_ID'),
    dir: of('WANDB_DIR'),
    host: of('WANDB_HOST') ?? hostname(),
    timeout: Number(of('WANDB_HTTP_TIMEOUT') ?? 20),
  }
  if (settings.mode === 'disabled') return settings
  for (const [name, why] of Object.entries(REFUSED))
    if (!['', 'false', '0', 'no'].includes((of(name) ?? '').toLowerCase())) invalid(`${name} ${of(name)} is refused: ${why}`)
  const resume = of('WANDB_RESUME')
  if (resume && !['allow', 'auto', 'true'].includes(resume))
    invalid(`WANDB_RESUME ${resume} is refused: a run goes on in W&B where its checkpoint does (allow); leave it out`)
  if (!URL.canParse(baseUrl) || !/^https?:/.test(baseUrl)) invalid(`WANDB_BASE_URL ${baseUrl}: expected an address such as ${CLOUD}`)
  if (settings.runId && !/^[^/\\#?%:]{1,128}$/.test(settings.runId))
    invalid(`WANDB_RUN_ID ${settings.runId}: expected up to 128 characters, none of them / \\ # ? % :`)
  if (!(settings.timeout > 0)) invalid(`WANDB_HTTP_TIMEOUT ${of('WANDB_HTTP_TIMEOUT')}: expected seconds above 0`)
  if (settings.mode === 'online' && settings.apiKey === null)
    invalid(
      `reporting to wandb needs a key: set WANDB_API_KEY (${baseUrl === CLOUD ? 'https://wandb.ai/authorize shows it' : `of ${baseUrl}`}) or run wandb login, or set WANDB_MODE=offline, and wandb sync uploads it later`,
    )
  return settings
}

/** Is it said, or known, how to report to W&B? */
export function wandbIsSetUp(env: Env): boolean {
  return Boolean(env.WANDB_MODE || env.WANDB_API_KEY || savedKey(env, (env.WANDB_BASE_URL ?? CLOUD).replace(/\/+$/, '')))
}

const REFUSED: Readonly<Record<string, string>> = {
  WANDB_LOG_MODEL: 'models are not uploaded; wandb artifact put uploads output_dir',
  WANDB_WATCH: 'gradients and weights are not logged',
}

function modeOf(env: Env): WandbSettings['mode'] {
  if (/^(true|1|yes)$/i.test(env.WANDB_DISABLED ?? '')) return 'disabled'
  const mode = env.WANDB_MODE?.trim() || 'online'
  if (mode === 'online' || mode === 'offline' || mode === 'disabled') return mode
  if (mode === 'dryrun') return 'offline'
  if (mode === 'run') return 'online'
  return invalid(`WANDB_MODE ${mode}: expected online, offline or disabled`)
}

/** the password that `wandb login` keeps for a host in ~/.netrc */
function savedKey(env: Env, baseUrl: string): string | null {
  if (!URL.canParse(baseUrl)) return null
  try {
    const words = readFileSync(env.NETRC || join(homeFolder(), '.netrc'), 'utf8').split(/\s+/)
    const from = words.findIndex((word, i) => word === 'machine' && words[i + 1] === new URL(baseUrl).hostname)
    const own = from < 0 ? [] : words.slice(from + 2)
    const next = own.indexOf('machine')
    const password = own.slice(0, next < 0 ? undefined : next).indexOf('password')
    return password < 0 ? null : (own[password + 1] ?? null)
  } catch {
    return null
  }
}

function invalid(message: string): never {
  throw new SaqrError('OPTION_INVALID', message)
}
