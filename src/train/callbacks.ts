/** Functions of the user's that are told of each event, and may say what the run does next. */
import { option, SaqrError, say } from '../error.ts'
import type { TrainEvent } from '../track/events.ts'
import { ACTIONS, type Action } from './timing.ts'

/** transformers' TrainerControl: what a callback sets to true is done before the next step, and set back */
export class TrainerControl {
  /** end the run here, as if this were its last step */
  shouldTrainingStop = false
  /** log now */
  shouldLog = false
  /** score the evaluation rows now */
  shouldEvaluate = false
  /** save a checkpoint now */
  shouldSave = false
}

/** Awaited: no weight changes meanwhile, and the model may be asked. A card may be at the next step's first gradients: those of weights that are written here are taken anew. */
export type TrainerCallback = (event: TrainEvent, control: TrainerControl) => unknown

/**
 * What is due, with what was asked for, in the order in which a step's actions come.
 * @param can is there something to log, to evaluate on?
 * @throws SaqrError OPTION_INVALID
 */
export function withAsked(due: readonly Action[], control: TrainerControl, can: { log: boolean; evaluate: boolean }): Action[] {
  if (control.shouldEvaluate && !can.evaluate)
    throw new SaqrError(
      'OPTION_INVALID',
      say`a callback asks for an evaluation, and there is nothing to evaluate on: give ${option('evalDataset')}`,
    )
  const asked: Record<Action, boolean> = { log: control.shouldLog && can.log, evaluate: control.shouldEvaluate, save: control.shouldSave }
  control.shouldLog = control.shouldEvaluate = control.shouldSave = false
  const more = ACTIONS.filter((action) => asked[action] && !due.includes(action))
  return more.length === 0 ? [...due] : [...due, ...more].sort((a, b) => ACTIONS.indexOf(a) - ACTIONS.indexOf(b))
}
