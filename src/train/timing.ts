/** When a run logs, evaluates and saves: transformers' DefaultFlowCallback, and the order in which its Trainer then does it. */

import type { CommonOptions } from './options/common.ts'
import { evalSteps, stepsOf } from './options/rules.ts'

export type Action = 'log' | 'evaluate' | 'save'

export interface Timing {
  /** optimizer steps done */
  step: number
  /** of the whole run, and of an epoch */
  steps: number
  stepsPerEpoch: number
}

/** What is done after a step, in order: all that steps decide, then all that the end of an epoch does. */
export function actionsAfter({ step, steps, stepsPerEpoch }: Timing, o: CommonOptions): Action[] {
  const last = step === steps
  const every = (interval: number) => step % Math.max(1, stepsOf(interval, steps)) === 0
  const atSteps: Record<Action, boolean> = {
    log: (o.loggingStrategy === 'steps' && every(o.loggingSteps)) || (o.loggingFirstStep && step === 1),
    evaluate: o.evalStrategy === 'steps' && (every(evalSteps(o)) || last) && o.evalDelay <= step,
    save: o.saveStrategy === 'steps' && (every(o.saveSteps) || last),
  }
  const epochEnds = step % stepsPerEpoch === 0 || last
  const atEpochs: Record<Action, boolean> = {
    // what was logged at this step is not logged again
    log: epochEnds && o.loggingStrategy === 'epoch' && !atSteps.log,
    evaluate: epochEnds && o.evalStrategy === 'epoch' && o.evalDelay <= step / stepsPerEpoch,
    save: epochEnds && o.saveStrategy === 'epoch',
  }
  return [atSteps, atEpochs].flatMap((due) => ACTIONS.filter((action) => due[action]))
}

/** Is there no step after which the evaluation rows are scored, though they should be? */
export function neverEvaluates(steps: number, stepsPerEpoch: number, o: Pick<CommonOptions, 'evalStrategy' | 'evalDelay'>): boolean {
  return o.evalStrategy !== 'no' && o.evalDelay > (o.evalStrategy === 'steps' ? steps : steps / stepsPerEpoch)
}

export const ACTIONS: readonly Action[] = ['log', 'evaluate', 'save']
