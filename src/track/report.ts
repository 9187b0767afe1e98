/** report_to: which trackers a run has beside the terminal. */
import { join } from 'node:path'
import { option, SaqrError, say } from '../error.ts'
import { jsonl } from './jsonl.ts'
import { tensorBoard } from './tensorboard/tensorboard.ts'
import type { Tracker } from './tracker.ts'
import { wandbIsSetUp, wandbSettings } from './wandb/settings.ts'
import { wandb } from './wandb/wandb.ts'

export interface ReportOptions {
  reportTo: string | readonly string[] | null
  runName: string | null
  loggingDir: string | null
}

interface Context extends ReportOptions {
  outputDir: string
  env: NodeJS.ProcessEnv
}

/** By name, in the order in which an event reaches them. */
const TRACKERS: Readonly<Record<string, (context: Context) => Tracker | null>> = {
  jsonl: ({ outputDir }) => jsonl(join(outputDir, 'events.jsonl')),
  tensorboard: ({ loggingDir, env }) => tensorBoard({ loggingDir: loggingDir ?? (env.TENSORBOARD_LOGGING_DIR || null) }),
  wandb: ({ runName, env }) => {
    const settings = wandbSettings(env)
    return settings.mode === 'disabled' ? null : wandb({ settings, name: runName })
  },
}

/** `all` is W&B too where it is known how to report to it. @throws SaqrError OPTION_INVALID */
function namesOf({ reportTo }: ReportOptions, env: NodeJS.ProcessEnv): string[] {
  const names = [...new Set([reportTo ?? []].flat())]
  if (names.length > 1 && names.includes('none'))
    throw new SaqrError('OPTION_INVALID', say`${option('reportTo')} none contradicts ${names.filter((name) => name !== 'none').join(', ')}`)
  if (names.includes('all')) return Object.keys(TRACKERS).filter((name) => name !== 'wandb' || names.includes(name) || wandbIsSetUp(env))
  return names.filter((name) => name !== 'none')
}

/** Is everything there that reporting needs? @throws SaqrError OPTION_INVALID */
export function checkReport(o: ReportOptions): void {
  trackersOf(o, '')
}

/** Nothing is written before a tracker's first event. @throws SaqrError OPTION_INVALID for what can't be reported to */
export function trackersOf(o: ReportOptions, outputDir: string, env: NodeJS.ProcessEnv = process.env): Tracker[] {
  return namesOf(o, env).flatMap((name) => TRACKERS[name]!({ ...o, outputDir, env }) ?? [])
}
