/**
 * Jinja source to tokens, as jinja2 3.1 cuts it with `trim_blocks` and `lstrip_blocks` on (the settings of transformers): a block tag takes
 * the line break behind it and the indentation before it, a minus takes all white space on its side, a plus keeps it.
 */
import { TemplateError } from './error.ts'

export type TokenKind =
  | 'data'
  | 'blockBegin'
  | 'blockEnd'
  | 'printBegin'
  | 'printEnd'
  | 'name'
  | 'string'
  | 'integer'
  | 'float'
  | 'operator'
  | 'end'

export interface Token {
  kind: TokenKind
  text: string
  line: number
}

/** Python's \s */
const space = String.raw`[\s\x1c-\x1f\x85]`
const spaceClass = new RegExp(`^(?:(?!\\uFEFF)${space})$`)
export const isPythonSpace = (c: string): boolean => spaceClass.test(c)

const opening = /\{%|\{\{|\{#/g
const raw = /^\{%[-+]?\s*raw\s*(-?)%\}/
const number = /^(?:\d(?:_?\d)*)(?:\.\d(?:_?\d)*(?:[eE][+-]?\d(?:_?\d)*)?|[eE][+-]?\d(?:_?\d)*)/
const integer = /^(?:0[bB](?:_?[01])+|0[oO](?:_?[0-7])+|0[xX](?:_?[\da-fA-F])+|[1-9](?:_?\d)*|0(?:_?0)*)/
const name = /^[\p{XID_Start}_][\p{XID_Continue}]*/u
const string = /^(?:'[^'\\]*(?:\\[\s\S][^'\\]*)*'|"[^"\\]*(?:\\[\s\S][^"\\]*)*")/
const operator = /^(?:\*\*|\/\/|==|!=|>=|<=|[-+/*%~[\](){}<>=.:|,;])/

/** @throws TemplateError */
export function tokenize(text: string): Token[] {
  const source = text.replace(/\r\n|\r/g, '\n').replace(/\n$/, '')
  return new Lexer(source).run()
}

class Lexer {
  readonly #source: string
  readonly #tokens: Token[] = []
  #at = 0
  #line = 1
  /** nothing stands on the line before where we are */
  #lineStarts = true

  constructor(source: string) {
    this.#source = source
  }

  run(): Token[] {
    while (this.#at < this.#source.length) this.#outside()
    this.#push('end', '')
    return this.#tokens
  }

  #push(kind: TokenKind, text: string): void {
    this.#tokens.push({ kind, text, line: this.#line })
  }

  #advance(to: number): void {
    for (let i = this.#at; i < to; i++) if (this.#source[i] === '\n') this.#line++
    if (to > this.#at) this.#lineStarts = this.#source[to - 1] === '\n'
    this.#at = to
  }

  #fail(why: string): never {
    throw new TemplateError(`${why} in line ${this.#line}`)
  }

  /** Text up to the next tag, then the tag. */
  #outside(): void {
    opening.lastIndex = this.#at
    const tag = opening.exec(this.#source)
    const end = tag?.index ?? this.#source.length
    const sign = tag ? this.#source[end + 2]! : ''
    const data = this.#before(end, sign, tag?.[0] ?? '')
    if (data !== '') this.#push('data', data)
    this.#advance(end)
    if (!tag) return
    if (tag[0] === '{#') {
      this.#comment()
      return
    }
    const isRaw = tag[0] === '{%' ? raw.exec(this.#source.slice(end)) : null
    if (isRaw) this.#raw(isRaw)
    else this.#inside(tag[0] === '{{', end + 2 + (sign === '-' || sign === '+' ? 1 : 0))
  }

  /** What is left of the text before a tag at `end`. */
  #before(end: number, sign: string, tag: string): string {
    const data = this.#source.slice(this.#at, end)
    if (tag === '') return data
    if (sign === '-') return rightStripped(data)
    if (sign === '+' || tag === '{{') return data
    const line = data.lastIndexOf('\n') + 1
    if (line === 0 && !this.#lineStarts) return data
    return [...data.slice(line)].every(isPythonSpace) ? data.slice(0, line) : data
  }

  #skipSpace(at: number): number {
    let to = at
    while (to < this.#source.length && isPythonSpace(this.#source[to]!)) to++
    return to
  }

  /** Where the text goes on after a tag's end at `at`. */
  #after(at: number, sign: string): number {
    if (sign === '-') return this.#skipSpace(at)
    return sign !== '+' && this.#source[at] === '\n' ? at + 1 : at
  }

  #comment(): void {
    const end = this.#source.indexOf('#}', this.#at + 2)
    if (end === -1) this.#fail('A comment has no end')
    const sign = end > this.#at + 2 ? this.#source[end - 1]! : ''
    this.#advance(this.#after(end + 2, sign))
  }

  #raw(begin: RegExpExecArray): void {
    this.#advance(begin[1] === '-' ? this.#skipSpace(this.#at + begin[0].length) : this.#at + begin[0].length)
    const rest = this.#source.slice(this.#at)
    const end = /\{%([-+]?)\s*endraw\s*([-+]?)%\}/.exec(rest)
    if (!end) this.#fail('A raw block has no end')
    const data = this.#before(this.#at + end!.index, end![1]!, '{%')
    if (data !== '') this.#push('data', data)
    this.#advance(this.#after(this.#at + end!.index + end![0].length, end![2]!))
  }

  /** Tokens of one tag. A closing sign does not end it while a bracket is open. */
  #inside(prints: boolean, from: number): void {
    this.#push(prints ? 'printBegin' : 'blockBegin', '')
    this.#advance(from)
    const close = prints ? '}}' : '%}'
    const open: string[] = []
    for (;;) {
      this.#advance(this.#skipSpace(this.#at))
      if (this.#at >= this.#source.length) this.#fail('A tag has no end')
      const rest = this.#source.slice(this.#at, this.#at + 3)
      const sign = rest.startsWith(close)
        ? ''
        : (rest[0] === '-' || (rest[0] === '+' && !prints)) && rest.slice(1) === close
          ? rest[0]!
          : undefined
      if (open.length === 0 && sign !== undefined) {
        this.#push(prints ? 'printEnd' : 'blockEnd', '')
        const end = this.#at + sign.length + 2
        this.#advance(prints && sign === '' ? end : this.#after(end, sign))
        return
      }
      this.#token(open)
    }
  }

  #token(open: string[]): void {
    const rest = this.#source.slice(this.#at, this.#at + 20_000)
    const kinds: [TokenKind, RegExp][] = [
      ['float', number],
      ['integer', integer],
      ['name', name],
      ['string', string],
      ['operator', operator],
    ]
    for (const [kind, pattern] of kinds) {
      const found = pattern.exec(rest)?.[0]
      if (found === undefined) continue
      if (kind === 'operator') this.#balance(found, open)
      this.#push(kind, kind === 'string' ? unescaped(found.slice(1, -1)) : found.replaceAll(kind === 'name' ? '\0' : '_', ''))
      this.#advance(this.#at + found.length)
      return
    }
    this.#fail(`Unexpected ${JSON.stringify(rest[0])}`)
  }

  #balance(found: string, open: string[]): void {
    const closer = { '{': '}', '[': ']', '(': ')' }[found]
    if (closer) open.push(closer)
    else if ('}])'.includes(found) && open.pop() !== found) this.#fail(`Unexpected "${found}"`)
  }
}

function rightStripped(text: string): string {
  let to = text.length
  while (to > 0 && isPythonSpace(text[to - 1]!)) to--
  return text.slice(0, to)
}

const simple: Record<string, string> = {
  n: '\n',
  t: '\t',
  r: '\r',
  a: '\x07',
  b: '\b',
  f: '\f',
  v: '\v',
  '\\': '\\',
  "'": "'",
  '"': '"',
  '\n': '',
}

/** Python's escapes */
function unescaped(text: string): string {
  return text.replace(/\\(x[\da-fA-F]{2}|u[\da-fA-F]{4}|U[\da-fA-F]{8}|[0-7]{1,3}|[\s\S])/g, (whole, what: string) => {
    if (/^[xuU]./.test(what)) return String.fromCodePoint(Number.parseInt(what.slice(1), 16))
    if (/^[0-7]/.test(what)) return String.fromCodePoint(Number.parseInt(what, 8))
    if (/^[xuUN]$/.test(what)) throw new TemplateError(`The escape ${whole} in a string is incomplete or not supported`)
    return simple[what] ?? whole
  })
}
