/** When a run logs, evaluates and saves: transformers' DefaultFlowCallback, and the order in which its Trainer then does it. */

import type { CommonOptions } from './options/common-config.ts'
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
  const soon = ACTIONS.filter((action) => atSteps[action])
  if (step % stepsPerEpoch !== 0 && !last) return soon
  // what was logged at this step is not logged again
  return [...soon, ...atEpochsEnd(step / stepsPerEpoch, o).filter((action) => action !== 'log' || !atSteps.log)]
}

/** What the end of an epoch does, and of one that is broken off. @param epoch how many have been gone through */
export function atEpochsEnd(epoch: number, o: CommonOptions): Action[] {
  const due: Record<Action, boolean> = {
    log: o.loggingStrategy === 'epoch',
    evaluate: o.evalStrategy === 'epoch' && o.evalDelay <= epoch,
    save: o.saveStrategy === 'epoch',
  }
  return ACTIONS.filter((action) => due[action])
}

/** Is there no step after which the evaluation rows are scored, though they should be? */
export function neverEvaluates(steps: number, stepsPerEpoch: number, o: Pick<CommonOptions, 'evalStrategy' | 'evalDelay'>): boolean {
  return o.evalStrategy !== 'no' && o.evalDelay > (o.evalStrategy === 'steps' ? steps : steps / stepsPerEpoch)
}

export const ACTIONS: readonly Action[] = ['log', 'evaluate', 'save']
