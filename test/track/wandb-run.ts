import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { expect } from 'vitest'
import type { AnswersEvent, TrainEvent } from '../../src/track/events.ts'
import { type Tracker, tracked } from '../../src/track/tracker.ts'
import { recordsOf } from '../../src/track/wandb/log.ts'
import { read } from '../../src/track/wandb/records.ts'
import type { TableFile } from '../../src/track/wandb/table.ts'
import { endOf, evalOf, logOf, startOf } from './start.ts'

export const wait = (ms: number) => new Promise((done) => setTimeout(done, ms))

/** events of a run from one step to another, with a log and an evaluation each second step */
export function* eventsOf(outputDir: string, from: number, to: number, last = true): Generator<TrainEvent> {
  yield startOf(outputDir, { doneSteps: from })
  for (let step = from + 1; step <= to; step++) {
    yield { type: 'step', step, epoch: step / 10, loss: 2 / step, elapsed: step, tokensPerSecond: 1, computedTokensPerSecond: 1, share: 1 }
    yield logOf(step, 2 / step)
    if (step % 2 === 0) yield evalOf(step, 3 / step)
  }
  if (last) yield endOf(to, { finished: true })
}

export async function* slowly(events: Iterable<TrainEvent>, ms: number): AsyncGenerator<TrainEvent> {
  for (const event of events) {
    await wait(ms)
    yield event
  }
}

export async function go(tracker: Tracker, events: Iterable<TrainEvent>, ms = 0): Promise<string[]> {
  const said: string[] = []
  for await (const event of tracked(slowly(events, ms), [tracker])) if ('message' in event) said.push(`${event.type}: ${event.message}`)
  return said
}

/** what a run's file has */
export function logged(outputDir: string): { kinds: string[]; history: Record<string, number>[]; path: string } {
  const [run] = readdirSync(join(outputDir, 'wandb'))
  const name = readdirSync(join(outputDir, 'wandb', run!)).find((one) => one.endsWith('.wandb'))!
  const path = join(outputDir, 'wandb', run!, name)
  const records = recordsOf(readFileSync(path))!.map((one) => read(one.content))
  const history = records.flatMap((one) => (one.kind === 'history' ? [one.values as Record<string, number>] : []))
  return { kinds: records.map(({ kind }) => kind), history, path }
}

const answersAt = (step: number): AnswersEvent => ({
  type: 'answers',
  step,
  epoch: step / 16,
  answers: [
    { prompt: 'What flies? صقر', answer: `a falcon\u0000 at ${step}`, ending: 'stop' },
    { prompt: `half \ud83d of a pair`, answer: 'x'.repeat(1 << 20), ending: 'length' },
  ],
})
export const rowsAt = (step: number) => answersAt(step).answers.map(({ prompt, answer, ending }) => [step, prompt, answer, ending])
export function* withAnswers(events: Iterable<TrainEvent>): Generator<TrainEvent> {
  for (const event of events) {
    yield event
    if (event.type === 'eval') yield answersAt(event.step)
  }
}
/** the tables that lines speak of, as they are on disk */
export function tablesIn(out: string): { line: number; step: number; path: string; content: Buffer }[] {
  const { history, path } = logged(out)
  return history.flatMap((values) => {
    const table = values['eval/answers'] as unknown as TableFile | undefined
    if (!table) return []
    const content = readFileSync(join(dirname(path), 'files', table.path))
    const sha256 = createHash('sha256').update(content).digest('hex')
    expect(table).toEqual({
      _type: 'table-file',
      path: table.path,
      sha256,
      size: content.length,
      ncols: 4,
      nrows: 2,
      log_mode: 'IMMUTABLE',
    })
    expect(table.path).toBe(`media/table/eval/answers_${values._step}_${sha256.slice(0, 20)}.table.json`)
    return [{ line: values._step!, step: values['train/global_step']!, path: table.path, content }]
  })
}
