/** The metrics of a run as OpenAI's result files have them: a line of CSV a step. */
import type { HistoryEntry } from './messages.ts'

const HEAD = 'step,train_loss,train_accuracy,valid_loss,valid_mean_token_accuracy'

/** @param history in TRL's names; entries of an evaluation follow the step's own */
export function resultsOf(history: readonly HistoryEntry[]): string {
  const lines = new Map<number, string[]>()
  const put = (step: number, at: number, value: number | undefined) => {
    const line = lines.get(step) ?? ['', '', '', '']
    if (value !== undefined) line[at] = value.toFixed(5)
    lines.set(step, line)
  }
  for (const entry of history) {
    const step = entry.step!
    if (entry.loss !== undefined) {
      put(step, 0, entry.loss)
      put(step, 1, entry.mean_token_accuracy)
    }
    if (entry.eval_loss !== undefined) {
      put(step, 2, entry.eval_loss)
      put(step, 3, entry.eval_mean_token_accuracy)
    }
  }
  return `${[HEAD, ...[...lines].sort(([a], [b]) => a - b).map(([step, line]) => [step, ...line].join(','))].join('\n')}\n`
}
