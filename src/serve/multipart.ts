/** A form of several parts (RFC 7578) as it arrives: no part is held in memory, a file may be as large as whoever reads it allows. */
import type { IncomingMessage } from 'node:http'
import { ApiError } from './api-error.ts'

/** bytes of the lines before a part, and what a form may have of parts */
const LONGEST_HEAD = 8 * 2 ** 10
const MOST_PARTS = 16

export interface FormPart {
  name: string
  /** null: it is no file */
  filename: string | null
  /** to be read before the next part is asked for; what is left is passed over */
  bytes: AsyncGenerator<Buffer>
}

const bad = (message: string) => new ApiError({ status: 400, code: 'invalid_form', message })

/** @throws ApiError 400 for what is no form, or one that is cut off */
export async function* formParts(request: IncomingMessage): AsyncGenerator<FormPart> {
  const [, quoted, plain] =
    /^multipart\/form-data\s*;(?:.*;)?\s*boundary=(?:"([^"]{1,70})"|([^\s;"]{1,70}))/i.exec(request.headers['content-type'] ?? '') ?? []
  const boundary = quoted ?? plain
  if (boundary === undefined) throw bad('a file is uploaded as multipart/form-data, with a boundary')
  const form = new Form(request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>, Buffer.from(`\r\n--${boundary}`, 'latin1'))
  try {
    for await (const _ of form.toDelimiter()); // what stands before the first is nobody's
    for (let count = 0; !(await form.isEnd()); count++) {
      if (count === MOST_PARTS) throw bad(`a form has at most ${MOST_PARTS} parts`)
      const head = await form.head()
      const bytes = form.toDelimiter()
      yield { ...head, bytes }
      for await (const _ of bytes); // unless it was read
    }
  } finally {
    await form.leave()
  }
}

/** A small part as text. @throws ApiError 400 */
export async function textOf({ name, bytes }: FormPart): Promise<string> {
  const parts: Buffer[] = []
  let length = 0
  for await (const part of bytes) {
    length += part.length
    if (length > LONGEST_HEAD) throw bad(`the part ${JSON.stringify(name.slice(0, 60))} is too long`)
    parts.push(part)
  }
  return Buffer.concat(parts).toString('utf8')
}

class Form {
  readonly #from: AsyncIterator<Buffer>
  readonly #delimiter: Buffer
  // the first delimiter may stand at the very beginning
  #held: Buffer = Buffer.from('\r\n')

  constructor(bytes: AsyncIterable<Buffer>, delimiter: Buffer) {
    this.#from = bytes[Symbol.asyncIterator]()
    this.#delimiter = delimiter
  }

  /** What comes before the next delimiter, which is taken too. */
  async *toDelimiter(): AsyncGenerator<Buffer> {
    for (;;) {
      const at = this.#held.indexOf(this.#delimiter)
      if (at !== -1) {
        const last = this.#held.subarray(0, at)
        this.#held = this.#held.subarray(at + this.#delimiter.length)
        if (last.length > 0) yield last
        return
      }
      // a delimiter may have begun
      const sure = Math.max(0, this.#held.length - this.#delimiter.length + 1)
      const part = this.#held.subarray(0, sure)
      this.#held = this.#held.subarray(sure)
      if (part.length > 0) yield part
      await this.#more()
    }
  }

  /** Is the delimiter that was taken the last? */
  async isEnd(): Promise<boolean> {
    while (this.#held.length < 2) await this.#more()
    const next = this.#held.toString('latin1', 0, 2)
    if (next !== '--' && next !== '\r\n') throw bad('the form is not written as multipart/form-data has it')
    return next === '--'
  }

  async head(): Promise<Pick<FormPart, 'name' | 'filename'>> {
    let end = this.#held.indexOf('\r\n\r\n')
    while (end === -1) {
      if (this.#held.length > LONGEST_HEAD) throw bad('a part of the form has no beginning')
      await this.#more()
      end = this.#held.indexOf('\r\n\r\n')
    }
    const lines = this.#held.toString('utf8', 2, end).split('\r\n')
    this.#held = this.#held.subarray(end + 4)
    const disposition = lines.find((line) => /^content-disposition\s*:/i.test(line)) ?? ''
    const name = parameterOf(disposition, 'name')
    if (!/:\s*form-data\s*;/i.test(disposition) || name === null) throw bad('a part of the form has no name')
    return { name, filename: parameterOf(disposition, 'filename') }
  }

  /** The request is no longer read here. */
  async leave(): Promise<void> {
    await this.#from.return?.()
  }

  async #more(): Promise<void> {
    const next = await this.#from.next()
    if (next.done) throw bad('the form is cut off')
    this.#held = this.#held.length === 0 ? next.value : Buffer.concat([this.#held, next.value])
  }
}

/** Quotes and line breaks within are percent-encoded, as browsers send them. */
function parameterOf(header: string, name: string): string | null {
  const [, value] = new RegExp(`;\\s*${name}="([^"]*)"`, 'i').exec(header) ?? []
  return value === undefined ? null : value.replace(/%22/g, '"').replace(/%0[dD]|%0[aA]/g, ' ')
}
