/**
 * What a message says: a text, or a list of parts that are texts. Of a tool also an object or a list, which some templates print as JSON.
 * Nothing else is taken: templates pass over it, or print it as Python writes it.
 */
import { isObject } from '../formats/json.ts'
import { withKeys } from '../formats/json-exact.ts'
import { bad, isMissing, shown } from './cells.ts'

type Given = Readonly<Record<string, unknown>>

const REASONING = ['reasoning_content', 'thinking', 'reasoning'] as const

/** Keys under which the words of a message stand in other formats. */
const ELSEWHERE = ['text', 'contents', 'refusal', 'message', 'response', 'answer', 'output', 'completion', 'body']
/** Keys of messages that hold no words. */
const ABOUT = ['role', 'from', 'name', 'id', 'type', 'tool_call_id', 'status', 'model', 'date', 'timestamp', ...REASONING]

/**
 * The content, its parts without keys that are null; undefined where calls or reasoning stand in its place.
 * @throws SaqrError DATA_ROW
 */
export function contentOf(message: Given, role: string, hasCalls: boolean, at: string, where: string): unknown {
  const { content } = message
  const media = Object.keys(message).find((key) => MEDIA.test(key) && !isMissing(message[key]) && String(message[key]) !== '')
  if (media !== undefined) throw bad(where, `${at} holds ${JSON.stringify(media)}, and only text is trained on`)
  const isNothing = isMissing(content) || (Array.isArray(content) && content.length === 0)
  if (isNothing || (typeof content === 'string' && content.trim() === '')) {
    if (hasCalls || reasoningOf(message) !== '') return isNothing ? undefined : content
    const words = wordsElsewhere(message, isNothing)
    if (words !== undefined)
      throw bad(
        where,
        `${at} has no content; its words seem to stand under ${JSON.stringify(words)}, which is not read: rename it to content`,
      )
    if (!isNothing) return content
    throw bad(where, `${at} has no content, it is ${shown(content)}: write "" for a turn that is meant to be empty`)
  }
  if (typeof content === 'string') return content
  if (Array.isArray(content) && (role !== 'tool' || content.every(isPart)))
    return content.map((part, i) => partOf(part, `${at}.content[${i}]`, where))
  if (role === 'tool' && typeof content === 'object') return content
  throw bad(where, `${at}.content must be a text, or a list of parts like {"type": "text", "text": …}, it is ${shown(content)}`)
}

/** The reasoning of a message, empty where there is none. */
export function reasoningOf(message: Given): string {
  const found = REASONING.map((name) => message[name]).find((value) => typeof value === 'string' && value.trim() !== '')
  return found === undefined ? '' : String(found)
}

export const reasoningFields: readonly string[] = REASONING

function wordsElsewhere(message: Given, anywhere: boolean): string | undefined {
  const isText = (key: string) => typeof message[key] === 'string' && (message[key] as string).trim() !== ''
  const known = ELSEWHERE.find((key) => isText(key))
  return known ?? (anywhere ? Object.keys(message).find((key) => !ABOUT.includes(key) && isText(key)) : undefined)
}

const MEDIA = /^(input_)?(image|video|audio|file)s?(_url|_id)?$/

/** What a tool gave may be any list: one of texts and media is parts. */
const isPart = (part: unknown) =>
  typeof part === 'string' || (isObject(part) && (typeof part.text === 'string' || MEDIA.test(String(part.type))))

function partOf(part: unknown, at: string, where: string): unknown {
  if (typeof part === 'string') return part
  if (!isObject(part)) throw bad(where, `${at} must be a part like {"type": "text", "text": …}, it is ${shown(part)}`)
  const empty = Object.entries(part).filter(([, value]) => isMissing(value))
  const given = empty.length > 0 ? withKeys(part, Object.fromEntries(empty.map(([key]) => [key, undefined]))) : part
  const media = [...(typeof given.type === 'string' ? [given.type] : []), ...Object.keys(given)].find((name) => MEDIA.test(name))
  if (media !== undefined) throw bad(where, `${at} is no text but ${JSON.stringify(media)}, and only text is trained on`)
  if (typeof given.text === 'string' || given.type === 'thinking' || given.type === 'reasoning') return given
  throw bad(where, `${at} has no text: a part must be like {"type": "text", "text": …}, it is ${shown(given)}`)
}

/** The text of a part; undefined for reasoning, which a template may leave out. */
export function textOfPart(part: unknown): string | undefined {
  const text = isObject(part) ? part.text : part
  return typeof text === 'string' ? text : undefined
}
