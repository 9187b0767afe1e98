/**
 * What of a conversation is learned: what the assistant says. A template that marks it, or is known, says so itself; of any other, answers are
 * found by what it writes right before them and before a user's text, which it is asked with a conversation of ours.
 */
import type { ResponseParts } from '../data/responses.ts'
import type { Row } from '../data/rows.ts'
import { SaqrError } from '../error.ts'
import { isObject } from '../formats/json.ts'
import type { Message } from '../text/chat-template.ts'
import type { Tokenizer } from '../text/tokenizer.ts'

const [ASKED, ANSWERED] = ['Xyzzy?', 'Plugh.']
const user: Message = { role: 'user', content: ASKED }
const assistant: Message = { role: 'assistant', content: ANSWERED }

/** Null: the template marks it. @throws SaqrError TEXT_NO_TEMPLATE; TEXT_NO_GENERATION_MARKS where neither can be told */
export function answersIn(tokenizer: Tokenizer): ResponseParts | null {
  try {
    tokenizer.applyChatTemplateWithMask([user, assistant])
    return null
  } catch (error) {
    if (!(error instanceof SaqrError) || error.code !== 'TEXT_NO_GENERATION_MARKS') throw error
    return partsOf(tokenizer)
  }
}

function partsOf(tokenizer: Tokenizer): ResponseParts {
  const written = (messages: Message[], addGenerationPrompt = false) => tokenizer.applyChatTemplate(messages, { addGenerationPrompt }).text
  const [asked, prompted] = [written([user]), written([user], true)]
  const turn = written([user, assistant])
  const [, behind = ''] = turn.split(ANSWERED)
  const [, between = ''] = written([user, assistant, user]).split(ANSWERED)
  const responsePart = prompted.startsWith(asked) ? prompted.slice(asked.length) : ''
  const next = between.split(ASKED)[0]!
  const instructionPart = next.startsWith(behind) ? next.slice(behind.length) : next
  // both stand in a conversation where they are looked for
  if (
    responsePart.trim() !== '' &&
    instructionPart.trim() !== '' &&
    turn.includes(responsePart + ANSWERED) &&
    asked.includes(instructionPart + ASKED)
  )
    return { instructionPart, responsePart }
  throw new SaqrError(
    'TEXT_NO_GENERATION_MARKS',
    'the chat template does not say what the assistant wrote, and it can’t be told from what it writes before answers: give one with {% generation %} … {% endgeneration %} around it (chatTemplate, --chat_template_path)',
  )
}

/**
 * Where answers are found by what stands before them, a message is learned or not by its role alone, and what a tool says could be taken for an answer.
 * @throws SaqrError DATA_ROW
 */
export function checkPlain({ messages }: Row, where: string): void {
  if (!Array.isArray(messages)) return
  for (const [i, message] of messages.entries()) {
    if (!isObject(message)) continue
    const { role, weight } = message
    const what =
      weight === 0 ? 'weight 0' : ['system', 'developer', 'user', 'assistant'].includes(String(role)) ? null : `the role ${String(role)}`
    if (what !== null)
      throw new SaqrError(
        'DATA_ROW',
        `${where}: message ${i + 1} has ${what}, and the model's chat template does not say what the assistant wrote: give one with {% generation %} … {% endgeneration %} around it (chatTemplate, --chat_template_path).`,
      )
  }
}
