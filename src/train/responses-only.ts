/** Unsloth's `train_on_responses_only`, as notebooks call it. */

import { option, SaqrError, say } from '../error.ts'
import { type Check, filled, instance, take, takeOptions } from '../hub/arguments.ts'
import { responseParts } from './options/rules.ts'
import { SFTTrainer } from './sft-trainer.ts'

/** What stands around answers in the rows. */
export interface ResponsesOnly {
  /** what stands right before a user's text in the rows: `<|im_start|>user\n` */
  instructionPart: string
  /** what stands right before an answer: `<|im_start|>assistant\n` */
  responsePart: string
}

const sftTrainer: Check<SFTTrainer> = instance(SFTTrainer, 'an SFTTrainer')
const PARTS = { instructionPart: filled, responsePart: filled }

/**
 * From here on the trainer learns only what follows `responsePart`, up to `instructionPart` or the end of the turn; every other token is read and
 * not learned, in the evaluation rows too. The same as the trainer's `args` of these names.
 * @returns the same trainer
 * @throws SaqrError OPTION_INVALID for a part that is missing, or beside `assistantOnlyLoss` or `completionOnlyLoss`
 */
export function trainOnResponsesOnly(trainer: SFTTrainer, parts: ResponsesOnly): SFTTrainer {
  const { options } = take(trainer, 'trainer', sftTrainer)
  const { instructionPart, responsePart } = takeOptions<Partial<ResponsesOnly>>(parts, 'trainOnResponsesOnly', PARTS)
  if (options.instructionPart !== null || options.responsePart !== null)
    throw new SaqrError(
      'OPTION_INVALID',
      say`the trainer has ${option('instructionPart')} and ${option('responsePart')} already: keep one of both places`,
    )
  const given = { trainOnResponsesOnly: true, instructionPart: instructionPart ?? null, responsePart: responsePart ?? null }
  responseParts({ ...options, ...given })
  Object.assign(options, given)
  return trainer
}
