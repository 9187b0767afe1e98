/** TensorBoard: what is logged as an event file, with the names that transformers' TensorBoardCallback gives. */
import { hostname } from 'node:os'
import { join } from 'node:path'
import { stringifyJson } from '../../formats/json.ts'
import { type Checks, filled, func, orNull, takeOptions } from '../../hub/arguments.ts'
import { homed } from '../../hub/places.ts'
import { type GrowingFile, growingFile } from '../append.ts'
import type { StartEvent } from '../events.ts'
import { runFolder } from '../run-folder.ts'
import { scalarsOf } from '../scalars.ts'
import type { Tracker } from '../tracker.ts'
import { goesOn, scalars, text, version } from './event.ts'
import { tfRecord } from './record.ts'

export interface TensorBoardOptions {
  /** folder of the event files; default: one for each run, outputDir/runs/date_time_host */
  loggingDir?: string | null
  now?: () => Date
}

const OPTIONS: Checks<TensorBoardOptions> = { loggingDir: orNull(filled), now: func('a function that gives a Date') }

/** @throws SaqrError OPTION_…; while it runs TRAIN_LOG where the file can't be written */
export function tensorBoard(given: TensorBoardOptions = {}): Tracker {
  const { loggingDir, now = () => new Date() } = takeOptions(given, 'tensorBoard', OPTIONS)
  let file: GrowingFile | undefined
  const seconds = () => now().getTime() / 1000
  const write = (event: Uint8Array) => file!.write(tfRecord(event))
  return {
    start(run) {
      const folder = loggingDir != null ? homed(loggingDir) : runFolder(join(run.outputDir, 'runs'), run, nameAt(now())).path
      file = growingFile(join(folder, fileName(seconds())), 'tensorboard')
      write(version(seconds()))
      if (run.doneSteps > 0) write(goesOn(seconds(), run.doneSteps + 1))
      for (const [name, content] of texts(run)) write(text(seconds(), 0, name, content))
    },
    log(event) {
      if (event.type === 'log' || event.type === 'eval') write(scalars(seconds(), event.step, scalarsOf(event)))
      if (event.type === 'answers')
        for (const [i, { prompt, answer }] of event.answers.entries())
          write(text(seconds(), event.step, `eval_prompts/${i + 1}`, `${indented(prompt)}\n\n→\n\n${indented(answer)}`))
    },
    end(event) {
      write(scalars(seconds(), event.step, scalarsOf(event)))
    },
    close() {
      file?.close()
    },
  }
}

/** transformers writes both as JSON, which TensorBoard shows as text */
function texts({ config }: StartEvent): [string, string][] {
  const json = (value: object) => stringifyJson(value as never, { indent: 2 })
  return [
    ['args', json(config.args)],
    ['model_config', json(config.model)],
  ]
}

/** Markdown shows it as it is */
const indented = (text: string) => text.replace(/^/gm, '    ')

let files = 0

/** TensorBoard reads a folder's files in the order of their names. */
function fileName(seconds: number): string {
  return `events.out.tfevents.${String(Math.floor(seconds)).padStart(10, '0')}.${hostname()}.${process.pid}.${files++}`
}

/** transformers' default_logdir: Nov26_11-39-52_host */
function nameAt(date: Date): string {
  const two = (n: number) => String(n).padStart(2, '0')
  const time = [date.getHours(), date.getMinutes(), date.getSeconds()].map(two).join('-')
  return `${MONTHS[date.getMonth()]}${two(date.getDate())}_${time}_${hostname()}`
}

const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec']
