/** What trackers call the numbers of a log: as transformers' callbacks do, `train/loss`, `eval/loss`. */
import { type EndEvent, type EvalEvent, type LogEvent, logEntry } from './events.ts'

/** @param event speed is said too: tokens a second are worth a curve */
export function scalarsOf(event: LogEvent | EvalEvent | EndEvent): Record<string, number> {
  const { step: _, ...entry } = logEntry(event)
  if (event.type === 'log') entry.tokens_per_second = event.tokensPerSecond
  return Object.fromEntries(Object.entries(entry).map(([name, value]) => [grouped(name), value]))
}

function grouped(name: string): string {
  return name.startsWith('eval_') ? `eval/${name.slice('eval_'.length)}` : `train/${name}`
}
