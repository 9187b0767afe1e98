/** Unsloth's `train_on_responses_only`: what is learned, by what stands around it. */

import { z } from 'zod'
import { option, say } from '../../error.ts'
import { honoured } from './field.ts'
import { described, flag } from './schemas.ts'

const part = described(z.string(), 'a text that is not empty', (value) => value !== '').nullable()

export const responses = {
  train_on_responses_only: honoured(
    flag,
    false,
    say`learn answers only, as Unsloth's function does; needs ${option('instructionPart')} and ${option('responsePart')}, which say so by themselves`,
  ),
  instruction_part: honoured(
    part,
    null,
    say`what stands right before a user's text in the rows, such as <|im_start|>user and a line break; needs ${option('responsePart')}`,
  ),
  response_part: honoured(
    part,
    null,
    say`what stands right before an answer: only tokens from there to the end of the turn are learned; needs ${option('instructionPart')}`,
  ),
}
