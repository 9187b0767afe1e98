/**
 * What messages say themselves of whether they are to be learned: `weight` 0 or 1 (OpenAI, mistral-finetune), `train` or `training`
 * (Axolotl), `loss` (ms-swift), `loss_mask` and `trainable` (verl), `masked` (torchtune).
 */
import { option, say } from '../error.ts'
import type { Message } from '../text/chat-template.ts'
import { bad, isMissing, shown } from './cells.ts'

/** The value of each that says: to be learned. */
const MARKS: Readonly<Record<string, boolean>> = {
  weight: true,
  train: true,
  training: true,
  trainable: true,
  loss: true,
  loss_mask: true,
  masked: false,
}
/** as columns beside a row they would mark it whole */
export const MARK_NAMES: readonly string[] = Object.keys(MARKS)
/** They mark more finely than a message. */
const FINER = ['train_detail', 'training_detail', 'loss_scale', 'loss_weight']

interface Mark {
  learned: boolean
  /** as it stands in the row */
  said: string
}

interface Learned {
  assistantOnlyLoss: boolean
  /** so many messages at the beginning are no targets, whatever they say */
  prompt: number
}

/**
 * The messages (from 0) of the assistant that are not to be learned, and a note on a mark that nothing follows from.
 * @throws SaqrError DATA_ROW: marks that contradict each other or the options, or say more than yes or no
 */
export function unlearned(messages: readonly Message[], where: string, { assistantOnlyLoss, prompt }: Learned) {
  const without: number[] = []
  let note: string | undefined
  for (const [i, message] of messages.entries()) {
    const mark = markOf(message, `message ${i + 1}`, where)
    if (!mark) continue
    const isTarget = i >= prompt && (!assistantOnlyLoss || message.role === 'assistant')
    if (mark.learned && !isTarget)
      note = `a message of the ${message.role} says ${mark.said}, and ${i < prompt ? 'prompts are' : `what the ${message.role} says is`} not learned`
    if (mark.learned || !isTarget) continue
    if (!assistantOnlyLoss)
      throw bad(
        where,
        say`message ${i + 1} says ${mark.said}, so it is not to be learned, and every token of a conversation is. Set ${option('assistantOnlyLoss')} to true: then what the assistant wrote is learned but for such messages`,
      )
    without.push(i)
  }
  return { without, note }
}

function markOf(message: Message, name: string, where: string): Mark | undefined {
  const finer = FINER.find((key) => !isMissing(message[key]))
  if (finer !== undefined)
    throw bad(
      where,
      `${name} has ${finer}, which is not supported: say of a whole message whether it is learned, as "train": true or false`,
    )
  const marks = Object.keys(MARKS)
    .filter((key) => !isMissing(message[key]))
    .map((key): Mark => {
      const value = message[key]
      const said = `${key}: ${shown(value)}`
      if (value !== true && value !== false && value !== 1 && value !== 0)
        throw bad(where, `${name} says ${said}; a message is learned (1, true) or not (0, false), nothing between is supported`)
      return { learned: Boolean(value) === MARKS[key], said }
    })
  if (marks.some(({ learned }) => learned !== marks[0]!.learned))
    throw bad(where, `${name} says ${marks.map(({ said }) => said).join(' and ')}, which contradict each other`)
  return marks[0]
}
