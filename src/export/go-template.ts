/**
 * A chat template in Go's template language, as Ollama renders it: what a template writes around messages is found by asking it, put together as Go says
 * it, and held against it over conversations. A template that isn't said so has none: no family is known here.
 */
import { SaqrError } from '../error.ts'
import type { Message } from '../text/chat-template.ts'

/** the text of a conversation that the assistant is to answer (`prompt`), or that ends as it stands */
export type Render = (messages: readonly Message[], prompt: boolean) => string

/** Where a system message stands: before all turns, at the beginning of the first or the last user's turn, or nowhere. */
export type SystemPlace = 'before' | 'first' | 'last' | 'nowhere'

/** What is written around what. */
export interface Turns {
  place: SystemPlace
  /** where there is no system message, and around one; with `first` and `last`: `without` comes always */
  without: string
  system: readonly [before: string, after: string]
  user: readonly [before: string, after: string]
  assistant: readonly [before: string, after: string]
  /** what an answer begins behind */
  prompt: string
}

/** what the messages hold while a template is asked: no template has these words */
const [S, U, A, V] = ['saqrsystemword', 'saqrfirstword', 'saqranswerword', 'saqrsecondword'] as const

const system = (content: string): Message => ({ role: 'system', content })
const user = (content: string): Message => ({ role: 'user', content })
const assistant = (content: string): Message => ({ role: 'assistant', content })

/** Null where it can't be said in Go: the template does more than write around messages. */
export function turnsOf(render: Render): Turns | null {
  const one = cut(render, [user(U)], true, [U])
  const ended = cut(render, [user(U)], false, [U])
  const more = cut(render, [user(U), assistant(A), user(V)], true, [U, A, V])
  if (!one || !more || one[0] !== more[0] || one[1] !== more[3]) return null
  const [start, between, behind] = more as [string, string, string]
  const userAfter = ended && one[1]!.startsWith(ended[1]!) && between.startsWith(ended[1]!) ? ended[1]! : common(one[1]!, between)
  const whole = cut(render, [user(U), assistant(A)], false, [U, A])
  const last = whole?.[2]
  // where a conversation that ends with an answer ends otherwise, what the two beginnings share is the user's
  const ofUser =
    last !== undefined && behind.startsWith(last) && start.endsWith(behind.slice(last.length)) && behind.length > last.length
      ? behind.slice(last.length)
      : commonEnd(start, behind)
  const turns = {
    without: less(start, ofUser),
    user: [ofUser, userAfter] as const,
    assistant: [between.slice(userAfter.length), less(behind, ofUser)] as const,
    prompt: one[1]!.slice(userAfter.length),
  }
  return placed(render, turns).find((one) => CONVERSATIONS.every((messages) => same(render, one, messages))) ?? null
}

/** the same with each place that a system message may have */
function placed(render: Render, turns: Omit<Turns, 'place' | 'system'>): Turns[] {
  const { without, user: around } = turns
  const nowhere: Turns = { ...turns, place: 'nowhere', system: ['', ''] }
  const one = cut(render, [system(S), user(U)], true, [S, U])
  if (!one) return [nowhere]
  const [before, after] = one as [string, string]
  const found: Turns[] = []
  if (after.endsWith(around[0])) found.push({ ...turns, place: 'before', system: [before, less(after, around[0])] })
  const within = without + around[0]
  if (before.startsWith(within))
    for (const place of ['first', 'last'] as const) found.push({ ...turns, place, system: [before.slice(within.length), after] })
  return found
}

/** what Ollama makes of a conversation with this template */
export function written(
  { place, without, system: around, user: ofUser, assistant: ofAssistant, prompt }: Turns,
  messages: readonly Message[],
): string {
  const said = messages.filter(({ role }) => role === 'system').map(({ content }) => content)
  const whole = said.length > 0 ? around[0] + said.join('\n\n') + around[1] : ''
  const users = messages.flatMap(({ role }, i) => (role === 'user' ? [i] : []))
  const host = place === 'first' ? users[0] : place === 'last' ? users.at(-1) : undefined
  const turns = messages.map(({ role, content }, i) => {
    if (role === 'user') return ofUser[0] + (i === host ? whole : '') + content + ofUser[1]
    return role === 'assistant' ? ofAssistant[0] + content + ofAssistant[1] : ''
  })
  return (place === 'before' && whole ? whole : without) + turns.join('') + prompt
}

const CONTENTS = ['Name three birds.', 'Falcon, heron\nand owl', 'Is "naïve" 5 < 7?\n\n- صقر\n- {x}', 'Yes.', '你好']
const turnsFrom = (count: number) => CONTENTS.slice(0, count).map((text, i) => (i % 2 === 0 ? user(text) : assistant(text)))
const CONVERSATIONS: readonly (readonly Message[])[] = [1, 3, 5].flatMap((count) => [
  turnsFrom(count),
  [system('You watch birds.\nAnswer shortly.'), ...turnsFrom(count)],
])

/** A template that takes no system message says nothing of one. */
function same(render: Render, turns: Turns, messages: readonly Message[]): boolean {
  if (turns.place === 'nowhere' && messages[0]!.role === 'system') return true
  return tried(render, messages, true) === written(turns, messages)
}

function tried(render: Render, messages: readonly Message[], prompt: boolean): string | null {
  try {
    return render(messages, prompt)
  } catch (error) {
    if (error instanceof SaqrError) return null // it wants other messages
    throw error
  }
}

/** what stands before, between and behind the words; null where they don't stand there once each, in this order */
function cut(render: Render, messages: readonly Message[], prompt: boolean, words: readonly string[]): string[] | null {
  let rest = tried(render, messages, prompt)
  if (rest === null || words.some((word) => rest!.split(word).length !== 2)) return null
  const parts: string[] = []
  for (const word of words) {
    const at: number = rest.indexOf(word)
    if (at < 0) return null
    parts.push(rest.slice(0, at))
    rest = rest.slice(at + word.length)
  }
  return [...parts, rest]
}

const less = (text: string, end: string) => text.slice(0, text.length - end.length)

function common(a: string, b: string): string {
  let length = 0
  while (length < a.length && a[length] === b[length]) length++
  return a.slice(0, length)
}

function commonEnd(a: string, b: string): string {
  let length = 0
  while (length < a.length && length < b.length && a.at(-1 - length) === b.at(-1 - length)) length++
  return a.slice(a.length - length)
}

/** In Go's language. Null where a text can't stand in it. */
export function goTemplate({ place, without, system: around, user: ofUser, assistant: ofAssistant, prompt }: Turns): string | null {
  if ([without, ...around, ...ofUser, ...ofAssistant, prompt].some((text) => /\{\{|\}\}/.test(text))) return null
  const within = {
    before: '',
    nowhere: '',
    first: `{{ if $system }}${around[0]}{{ $system }}${around[1]}{{ $system = "" }}{{ end }}`,
    last: `{{ if and $.System (eq (len (slice $.Messages $i)) 1) }}${around[0]}{{ $.System }}${around[1]}{{ end }}`,
  }[place]
  const start = place === 'before' ? `{{ if .System }}${around[0]}{{ .System }}${around[1]}{{ else }}${without}{{ end }}` : without
  const range = place === 'last' ? '{{ range $i, $_ := .Messages }}' : '{{ range .Messages }}'
  return [
    start.replace('{{ else }}{{ end }}', '{{ end }}'),
    place === 'first' ? '{{ $system := .System }}' : '',
    `${range}{{ if eq .Role "user" }}${ofUser[0]}${within}{{ .Content }}${ofUser[1]}`,
    `{{ else if eq .Role "assistant" }}${ofAssistant[0]}{{ .Content }}${ofAssistant[1]}{{ end }}{{ end }}${prompt}`,
  ].join('')
}
