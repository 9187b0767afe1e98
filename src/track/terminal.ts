/**
 * A run on a terminal: the memory table, a line for each log above one live line, the loss curve at the end; in a pipe the lines alone.
 */

import { type Checks, filled, flag, take, takeOptions } from '../hub/arguments.ts'
import type { Point } from './curve.ts'
import type { EndEvent, EvalEvent, LogEvent, ProgressEvent, StartEvent, StepEvent } from './events.ts'
import { memoryTable } from './memory-table.ts'
import { bytes, duration, grouped, percent, seconds, short, significant } from './numbers.ts'
import { plot } from './plot.ts'
import { type Style, styleOf } from './style.ts'
import { output, type TextOutput, type Tracker } from './tracker.ts'

export interface TerminalOptions {
  /** plain lines on a terminal too */
  plain?: boolean
  /** the loss curve at the end, on a terminal; default true */
  curve?: boolean
  /** how the option is spelled that a stopped run goes on with */
  resume?: string
}

/** seconds between two drawings of the live line */
const REDRAW = 0.1
const CLEAR = '\r\x1b[2K'

const OPTIONS: Checks<TerminalOptions> = { plain: flag, curve: flag, resume: filled }

/** Metrics go to `out`, warnings to `err`. @throws SaqrError OPTION_… */
export function terminal(out: TextOutput, err: TextOutput, given: TerminalOptions = {}): Tracker {
  take(out, 'out', output)
  take(err, 'err', output)
  const options = takeOptions(given, 'terminal', OPTIONS)
  const live = out.isTTY && !options.plain
  const style = styleOf(out)
  const curve: Point[] = []
  const evaluations: Point[] = []
  let run: StartEvent | undefined
  let drawn = false
  let drawnAt = Number.NEGATIVE_INFINITY
  let last: StepEvent | undefined

  const clear = () => {
    if (drawn) out.write(CLEAR)
    drawn = false
  }
  const draw = () => {
    if (!live || !last) return
    out.write(`${CLEAR}${liveLine(run!, last, out.columns, style)}`)
    drawn = true
  }
  const line = (text: string) => {
    clear()
    out.write(`${text}\n`)
    draw()
  }

  return {
    start(event) {
      run = event
      out.write(`${opening(event, style).join('\n')}\n`)
      for (const { step, loss, eval_loss: scored } of event.history) {
        if (step !== undefined && loss !== undefined) curve.push({ x: step, y: loss })
        if (step !== undefined && scored !== undefined) evaluations.push({ x: step, y: scored })
      }
    },
    log(event: ProgressEvent) {
      switch (event.type) {
        case 'step':
          last = event
          if (event.elapsed - drawnAt < REDRAW && event.step < run!.steps) return
          drawnAt = event.elapsed
          return draw()
        case 'log':
          curve.push({ x: event.step, y: event.loss })
          return line(live ? shortLogLine(run!, event, out.columns, style) : logLine(run!, event, last))
        case 'eval':
          evaluations.push({ x: event.step, y: event.evalLoss })
          return line(evalLine(run!, event, style))
        case 'answers':
          for (const { prompt, answer } of event.answers) line(`${style.dim(`  ${oneLine(prompt)} →`)} ${oneLine(answer)}`)
          return
        case 'save':
          return line(style.dim(`saved ${event.path}`))
        case 'note':
          return line(event.message)
        case 'warning':
          clear()
          err.write(`${styleOf(err).warn('warning:')} ${event.message}\n`)
          return draw()
      }
    },
    end(event) {
      if (live && last) out.write(`${CLEAR}${liveLine(run!, last, out.columns, style)}\n`)
      if (out.isTTY && options.curve !== false && curve.length > 2) out.write(`\n${plotted(curve, out.columns)}\n\n`)
      out.write(`${closing(event, run!, curve, evaluations, style, options.resume)}\n`)
    },
    close() {
      // a run that fails leaves the line to what is said next
      if (drawn) out.write('\n')
    },
  }
}

/** What is known before the first step; sharing that is off comes first, with what it costs. */
function opening(run: StartEvent, style: Style): string[] {
  const shared = run.computedTokens < run.rowTokens ? `, ${grouped(run.computedTokens)} to compute: rows share their beginnings` : ''
  const off =
    run.sharing &&
    run.sharing.tokens > 0 &&
    `rows don’t share their beginnings: ${run.sharing.off}; it would save ${grouped(run.sharing.tokens)} of ${grouped(run.rowTokens)} tokens an epoch`
  const resumed = run.doneSteps > 0 ? `, going on after step ${run.doneSteps}` : ''
  return [
    ...(off ? [off] : []),
    `${style.bold(run.model)}: ${run.training}`,
    `${run.device}`,
    `${grouped(run.rows)} rows, ${grouped(run.rowTokens)} tokens${shared}, ${grouped(run.targets)} targets`,
    ...memoryTable(run.memory).map(style.dim),
    `plan ${run.planHash.slice(0, 12)}: ${count(run.steps, 'step')} in ${Number(run.epochs < 0.1 ? run.epochs.toPrecision(2) : run.epochs.toFixed(2))} epochs, ${count(run.passesPerStep, 'pass', 'passes')} and about ${seconds(run.predictedSeconds)} each${resumed}`,
  ]
}

function liveLine(run: StartEvent, step: StepEvent, columns: number, style: Style): string {
  const parts = [
    `${step.step}/${run.steps}`,
    `ETA ${eta(run, step)}`,
    `loss ${step.loss.toFixed(4)}`,
    `${short(step.tokensPerSecond)} tok/s`,
  ]
  const text = [...parts, `${percent(step.share)} of the limit`].join('  ')
  const room = Math.max(20, columns - 1)
  const done = bar(step.step / run.steps, Math.min(30, room - text.length - 3))
  return done === '' ? text.slice(0, room) : `${style.good(done)} ${text}`
}

/** eighths of a character, so that it moves with every step */
function bar(share: number, width: number): string {
  if (width < 4) return ''
  const eighths = Math.round(Math.min(1, share) * width * 8)
  const part = ' ▏▎▍▌▋▊▉'[eighths % 8]!
  return `▕${('█'.repeat(Math.floor(eighths / 8)) + (eighths % 8 ? part : '')).padEnd(width)}▏`
}

function eta(run: StartEvent, step: StepEvent): string {
  const done = step.step - run.doneSteps
  return duration(((run.steps - step.step) * step.elapsed) / Math.max(1, done))
}

function logLine(run: StartEvent, log: LogEvent, last: StepEvent | undefined): string {
  const computed =
    Math.round(log.computedTokensPerSecond) < Math.round(log.tokensPerSecond) ? ` (${grouped(log.computedTokensPerSecond)} computed)` : ''
  return [
    `step ${log.step}/${run.steps}`,
    `epoch ${log.epoch.toFixed(2)}`,
    `loss ${log.loss.toFixed(4)}`,
    `grad_norm ${significant(log.gradNorm, 4)}`,
    `lr ${significant(log.learningRate, 3)}`,
    ...run.watched.map(({ name, label }) => `${label} ${log.metrics[name]!.toFixed(4)}`),
    `${grouped(log.tokensPerSecond)} tok/s${computed}`,
    `${percent(log.share)} of the limit`,
    ...(last ? [`ETA ${eta(run, last)}`] : []),
  ].join('  ')
}

/** The loss history of a terminal, in columns; the live line below it says the rest. What doesn't fit is left out from the right. */
function shortLogLine(run: StartEvent, log: LogEvent, columns: number, style: Style): string {
  const width = String(run.steps).length
  const parts = [
    `step ${String(log.step).padStart(width)}/${run.steps}`,
    `loss ${log.loss.toFixed(4)}`,
    ...run.watched.map(({ name, label }) => `${label} ${log.metrics[name]!.toFixed(3)}`),
    `grad_norm ${significant(log.gradNorm, 3).padEnd(5)}`,
    `lr ${significant(log.learningRate, 3).padEnd(7)}`,
    `epoch ${log.epoch.toFixed(2)}`,
  ]
  while (parts.join('  ').length >= columns && parts.length > 2) parts.pop()
  const [step, loss, ...rest] = parts
  return [style.dim(step!), loss, ...rest.map(style.dim)].join('  ').trimEnd()
}

function evalLine(run: StartEvent, event: EvalEvent, style: Style): string {
  const watched = run.watched.map(({ name, label }) => `${label} ${event.metrics[evalName(name)]!.toFixed(4)}`)
  const parts = [`eval_loss ${event.evalLoss.toFixed(4)}`, ...watched, `in ${seconds(event.evalRuntime)}`]
  return `step ${event.step}/${run.steps}  ${style.bold(parts[0]!)}  ${parts.slice(1).join('  ')}`
}

/** meanTokenAccuracy -> evalMeanTokenAccuracy */
const evalName = (name: string) => `eval${name.charAt(0).toUpperCase()}${name.slice(1)}`

/** of a text, what a line of a terminal shows */
function oneLine(text: string): string {
  const said = [...text.replace(/\s+/g, ' ').trim()].filter((c) => !/\p{Cc}/u.test(c))
  return said.length > 200 ? `${said.slice(0, 200).join('')}…` : said.join('')
}

function plotted(curve: readonly Point[], columns: number): string {
  return ['loss', ...plot(curve, { width: Math.min(100, columns - 1), height: 8 })].join('\n')
}

/** Of a run that went on, of what it did since. */
function closing(
  event: EndEvent,
  run: StartEvent,
  curve: readonly Point[],
  evaluations: readonly Point[],
  style: Style,
  resume = '--resume_from_checkpoint',
): string {
  const { metrics, finished, stopped, usage } = event
  const before = run.doneSteps
  const done = `${count(event.step - before, before > 0 ? 'more step' : 'step')} in ${seconds(metrics.trainRuntime)}, mean loss ${metrics.trainLoss.toFixed(4)}`
  const [first, last] = [curve[0], curve.at(-1)]
  const fell = first && last && last.x > first.x ? `, from ${first.y.toFixed(4)} to ${last.y.toFixed(4)}` : ''
  const took = style.dim(
    `${count(usage.tokens, 'token')}, ${grouped(usage.tokens / metrics.trainRuntime)} a second; the process had ${bytes(usage.peakBytes)} at most, ${bytes(run.memory.total)} were planned on the device`,
  )
  if (finished) return [style.good(`${done}${fell}`), ...evaluated(evaluations), took].join('\n')
  return stopped === null
    ? 'stopped before the first step was done: nothing to save'
    : `stopped after ${done}\n${took}\ngo on with ${resume} ${stopped}`
}

/** Whether the run was better before its end. */
function evaluated(evaluations: readonly Point[]): string[] {
  if (evaluations.length < 2) return []
  const [first, last] = [evaluations[0]!, evaluations.at(-1)!]
  const lowest = evaluations.reduce((a, b) => (b.y < a.y ? b : a))
  const best = lowest.y < last.y ? `, lowest ${lowest.y.toFixed(4)} in step ${lowest.x}: a shorter run, or its checkpoint, does better on these rows` : '' // biome-ignore format: one message
  return [`eval_loss from ${first.y.toFixed(4)} to ${last.y.toFixed(4)} in ${evaluations.length} evaluations${best}`]
}

function count(n: number, one: string, many = `${one}s`): string {
  return `${grouped(n)} ${n === 1 ? one : many}`
}
