/** report_to: which trackers a run has beside the terminal. */
import { join } from 'node:path'
import { option, SaqrError, say } from '../error.ts'
import { jsonl } from './jsonl.ts'
import { tensorBoard } from './tensorboard/tensorboard.ts'
import type { Tracker } from './tracker.ts'

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
const TRACKERS: Readonly<Record<string, (context: Context) => Tracker>> = {
  jsonl: ({ outputDir }) => jsonl(join(outputDir, 'events.jsonl')),
  tensorboard: ({ loggingDir, env }) => tensorBoard({ loggingDir: loggingDir ?? (env.TENSORBOARD_LOGGING_DIR || null) }),
}

/** @throws SaqrError OPTION_INVALID */
function namesOf({ reportTo }: ReportOptions): string[] {
  const names = [...new Set([reportTo ?? []].flat())]
  if (names.length > 1 && names.includes('none'))
    throw new SaqrError('OPTION_INVALID', say`${option('reportTo')} none contradicts ${names.filter((name) => name !== 'none').join(', ')}`)
  return names.includes('all') ? Object.keys(TRACKERS) : names.filter((name) => name !== 'none')
}

/** Nothing is written before a tracker's first event. @throws SaqrError OPTION_INVALID for what can't be reported to */
export function trackersOf(o: ReportOptions, outputDir: string, env: NodeJS.ProcessEnv = process.env): Tracker[] {
  return namesOf(o).map((name) => TRACKERS[name]!({ ...o, outputDir, env }))
}
