/**
 * A training file as OpenAI's guides have them: a line of JSON an example. Lines are looked at one by one, so that the first that can't be
 * trained on is named with its file before anything is computed; what then becomes of a row is the data layer's business (src/data).
 */
import { createReadStream, fstatSync, openSync } from 'node:fs'
import { isBlankLine } from '../data/blank.ts'
import { messagesOf } from '../data/conversation.ts'
import { Dataset } from '../data/dataset.ts'
import { lazyList } from '../data/lazy-list.ts'
import { openLines } from '../data/lines-on-disk.ts'
import type { Row } from '../data/rows.ts'
import { SaqrError } from '../error.ts'
import { decodeUtf8, isObject, type JsonObject, parseJson } from '../formats/json.ts'
import { fileError } from '../hub/files.ts'
import type { Source } from './messages.ts'
import type { FineTuningMethod } from './objects.ts'

/** bytes of a line */
const LONGEST_LINE = 32 * 2 ** 20

export interface TrainingLine {
  row: Row
  /** from 1 */
  number: number
}

/**
 * The examples of a file in order, each checked.
 * @param said what messages call the file
 * @throws SaqrError DATA_ROW, FORMAT_JSON, FORMAT_TEXT naming the line; DATA_NO_TARGETS for a file without any
 */
export async function* trainingLines(path: string, said: string, method: FineTuningMethod['type']): AsyncGenerator<TrainingLine> {
  let shape: string | undefined
  let count = 0
  for await (const { bytes, number } of linesOf(path, said)) {
    const where = `${said}, line ${number}`
    const text = decodeUtf8(bytes, where).replace(number === 1 ? /^\uFEFF/ : /^$/, '')
    if (isBlankLine(text)) continue
    const value = parsedLine(text, where)
    if (!isObject(value)) throw bad(where, `an example is an object, this is ${JSON.stringify(value)?.slice(0, 40)}. ${LINES}`)
    // it would end a line where the rows are read to be trained on
    if (text.trim().includes('\r')) throw bad(where, 'a carriage return stands within it: write an example a line, on one line')
    const row = taken(value, method, where)
    const own = 'messages' in row ? 'messages' : 'prompt'
    shape ??= own
    if (own !== shape)
      throw bad(where, `the lines before have ${shape}, this one has ${own}: put examples of each kind into a file of their own`)
    count++
    yield { row, number }
  }
  if (count === 0) throw new SaqrError('DATA_NO_TARGETS', `${said} has no example: write one a line`)
}

/** bytes of the largest file whose rows lie in memory; those of a larger one stay on disk */
const IN_MEMORY = 2 ** 28

/** The examples of a file that was checked, as they were when the job was made; read again at each start. @throws SaqrError DATA_…, FORMAT_… */
export async function trainingRows(
  { path, said }: Source,
  method: FineTuningMethod['type'],
  signal?: AbortSignal,
  inMemory = IN_MEMORY,
): Promise<Dataset> {
  const fd = openFile(path)
  const { size } = fstatSync(fd)
  const { rows, numbers } = await openLines({ fd, path: said, own: false, signal })
  const examples = lazyList(rows.length, (i) => taken(rows[i]!, method, `${said}, line ${numbers![i]}`))
  const columns = [...new Set(examples.flatMap((row) => Object.keys(row)))]
  const place = { unit: 'line', numbers: numbers!, columns }
  return size > inMemory ? new Dataset(examples, said, place) : new Dataset([...examples], said, { ...place, numbers: [...numbers!] })
}

/** An example as the data layer has it. */
const taken = (value: JsonObject, method: FineTuningMethod['type'], where: string): Row =>
  method === 'dpo' ? pairOf(value, where) : exampleOf(value, where)

const LINES = 'A file of examples is JSON Lines: one object a line, no list and no commas around them'

function parsedLine(line: string, where: string): unknown {
  try {
    return parseJson(line, where, { line: true, exact: true })
  } catch (error) {
    const { code, message } = error as SaqrError
    throw new SaqrError(code, `${message} ${LINES}.`, { cause: error })
  }
}

const bad = (where: string, why: string) => new SaqrError('DATA_ROW', `${where}: ${why}.`)

/** A conversation with something that the assistant says, or a prompt and its completion. */
function exampleOf(value: JsonObject, where: string): Row {
  const { prompt, completion } = value
  if (value.messages === undefined && typeof prompt === 'string' && typeof completion === 'string') {
    if (completion === '') throw bad(where, 'completion is empty, so there is nothing to learn')
    return { prompt, completion }
  }
  if (value.messages === undefined) {
    const pair = value.preferred_output !== undefined ? ' (a pair of preferences is trained on by the method dpo)' : ''
    throw bad(
      where,
      `an example has messages, or prompt and completion as texts; this has ${Object.keys(value).join(', ').slice(0, 80) || 'nothing'}${pair}`,
    )
  }
  const messages = messagesOf(value.messages, 'messages', where)
  if (!messages.some(({ role, weight }) => role === 'assistant' && weight !== 0))
    throw bad(where, 'messages hold nothing of the assistant’s to be learned')
  return { messages: value.messages, ...toolsOf(value, where) }
}

/** OpenAI's pairs as the data layer has them: prompt, chosen, rejected. */
function pairOf(value: JsonObject, where: string): Row {
  const { input, preferred_output: chosen, non_preferred_output: rejected } = value
  if (!isObject(input) || input.messages === undefined) throw bad(where, 'a pair has input, an object with messages')
  const prompt = messagesOf(input.messages, 'input.messages', where)
  if (prompt.at(-1)!.role === 'assistant') throw bad(where, 'input.messages end with what the assistant says, and an answer is to follow')
  for (const [name, output] of Object.entries({ preferred_output: chosen, non_preferred_output: rejected })) {
    const answer = messagesOf(output, name, where)
    if (answer.length !== 1 || answer[0]!.role !== 'assistant') throw bad(where, `${name} must be one message of the assistant`)
  }
  return { prompt: input.messages, chosen, rejected, ...toolsOf(input, where) }
}

/** `functions` is the older form of `tools`. */
function toolsOf({ tools, functions }: JsonObject, where: string): { tools?: unknown } {
  if (tools !== undefined && tools !== null) return { tools }
  if (functions === undefined || functions === null) return {}
  if (!Array.isArray(functions)) throw bad(where, 'functions must be a list')
  return { tools: functions.map((one: unknown) => ({ type: 'function', function: one })) }
}

function openFile(path: string): number {
  try {
    return openSync(path, 'r')
  } catch (cause) {
    throw fileError(cause, path, 'read')
  }
}

async function* linesOf(path: string, said: string): AsyncGenerator<{ bytes: Buffer; number: number }> {
  let number = 1
  let rest: Buffer[] = []
  let held = 0
  try {
    for await (const chunk of createReadStream(path) as AsyncIterable<Buffer>) {
      let from = 0
      for (let to = chunk.indexOf(10); to !== -1; to = chunk.indexOf(10, from)) {
        yield { bytes: Buffer.concat([...rest, chunk.subarray(from, to)]), number: number++ }
        rest = []
        held = 0
        from = to + 1
      }
      if (from === chunk.length) continue
      rest.push(chunk.subarray(from))
      held += chunk.length - from
      if (held > LONGEST_LINE) throw bad(`${said}, line ${number}`, `it is longer than ${LONGEST_LINE / 2 ** 20} MiB`)
    }
  } catch (cause) {
    throw fileError(cause, path, 'read')
  }
  if (held > 0) yield { bytes: Buffer.concat(rest), number }
}
