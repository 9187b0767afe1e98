/** A run on a terminal: the memory table, then one live line; in a pipe, a plain line for each log. */
import type { EndEvent, EvalEvent, LogEvent, ProgressEvent, StartEvent, StepEvent } from '../train/events.ts'
import { memoryTable } from './memory-table.ts'
import { duration, grouped, percent, seconds, short, significant } from './numbers.ts'
import type { TextOutput, Tracker } from './tracker.ts'

export interface TerminalOptions {
  /** plain lines on a terminal too */
  plain?: boolean
}

/** seconds between two drawings of the live line */
const REDRAW = 0.1
const CLEAR = '\r\x1b[2K'

/** Metrics go to `out`, warnings to `err`. */
export function terminal(out: TextOutput, err: TextOutput, options: TerminalOptions = {}): Tracker {
  const live = out.isTTY && !options.plain
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
    out.write(`${CLEAR}${liveLine(run!, last, out.columns)}`)
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
      out.write(`${opening(event).join('\n')}\n`)
    },
    log(event: ProgressEvent) {
      switch (event.type) {
        case 'step':
          last = event
          if (event.elapsed - drawnAt < REDRAW && event.step < run!.steps) return
          drawnAt = event.elapsed
          return draw()
        case 'log':
          return live ? undefined : line(logLine(run!, event, last))
        case 'eval':
          return line(evalLine(run!, event))
        case 'save':
          return line(`saved ${event.path}`)
        case 'note':
          return line(event.message)
        case 'warning':
          clear()
          err.write(`warning: ${event.message}\n`)
          return draw()
      }
    },
    end(event) {
      if (live && last) out.write(`${CLEAR}${liveLine(run!, last, out.columns)}\n`)
      out.write(`${closing(event)}\n`)
    },
  }
}

/** What is known before the first step; sharing that is off comes first, with what it costs. */
function opening(run: StartEvent): string[] {
  const shared = run.computedTokens < run.rowTokens ? `, ${grouped(run.computedTokens)} to compute: rows share their beginnings` : ''
  const off =
    run.sharing &&
    run.sharing.tokens > 0 &&
    `rows don’t share their beginnings: ${run.sharing.off}; it would save ${grouped(run.sharing.tokens)} of ${grouped(run.rowTokens)} tokens an epoch`
  const resumed = run.doneSteps > 0 ? `, going on after step ${run.doneSteps}` : ''
  return [
    ...(off ? [off] : []),
    `${run.model}: ${run.training}`,
    `${run.device}`,
    `${grouped(run.rows)} rows, ${grouped(run.rowTokens)} tokens${shared}, ${grouped(run.targets)} targets`,
    ...memoryTable(run.memory),
    `plan ${run.planHash.slice(0, 12)}: ${count(run.steps, 'step')} in ${Number(run.epochs < 0.1 ? run.epochs.toPrecision(2) : run.epochs.toFixed(2))} epochs, ${count(run.passesPerStep, 'pass', 'passes')} and about ${seconds(run.predictedSeconds)} each${resumed}`,
  ]
}

function liveLine(run: StartEvent, step: StepEvent, columns: number): string {
  const parts = [
    `${step.step}/${run.steps}`,
    `ETA ${eta(run, step)}`,
    `loss ${step.loss.toFixed(4)}`,
    `${short(step.tokensPerSecond)} tok/s`,
  ]
  const text = [...parts, `${percent(step.share)} of the limit`].join('  ')
  return `${bar(step.step / run.steps, Math.min(30, columns - text.length - 3))} ${text}`.slice(0, Math.max(20, columns - 1))
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
    `accuracy ${log.meanTokenAccuracy.toFixed(4)}`,
    `${grouped(log.tokensPerSecond)} tok/s${computed}`,
    `${percent(log.share)} of the limit`,
    ...(last ? [`ETA ${eta(run, last)}`] : []),
  ].join('  ')
}

function evalLine(run: StartEvent, event: EvalEvent): string {
  const accuracy = event.evalMeanTokenAccuracy.toFixed(4)
  return `step ${event.step}/${run.steps}  eval_loss ${event.evalLoss.toFixed(4)}  accuracy ${accuracy}  in ${seconds(event.evalRuntime)}`
}

function closing(event: EndEvent): string {
  const { metrics, stopped } = event
  const done = `${count(event.step, 'step')} in ${seconds(metrics.trainRuntime)}, mean loss ${metrics.trainLoss.toFixed(4)}`
  return stopped === null ? done : `stopped after ${done}\ngo on with --resume_from_checkpoint ${stopped}`
}

function count(n: number, one: string, many = `${one}s`): string {
  return `${grouped(n)} ${n === 1 ? one : many}`
}
