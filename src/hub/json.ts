/** JSON files: read with an error that names file and line, written as Python's `json.dumps` writes them so that files compare equal. */
import { isUtf8 } from 'node:buffer'
import { closeSync, fstatSync, openSync, readFileSync } from 'node:fs'
import { SaqrError } from '../error.ts'
import { fileError, refusePointer } from './files.ts'
import { exactEntries, exactItems, parseExactly } from './json-exact.ts'
import { jsonBreak } from './json-place.ts'

export type JsonObject = Record<string, unknown>

/** The largest JSON file read as one string: a V8 string holds 512 MiB, the largest tokenizer.json is about 40 MB. */
const largest = 256 * 2 ** 20

/** Strict UTF-8. `where` names the bytes in the error. */
export function decodeUtf8(bytes: Uint8Array, where: string): string {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('utf8')
  // what can't be decoded has become U+FFFD; only then is a second look needed
  if (text.includes('\ufffd') && !isUtf8(bytes)) throw notUtf8(where)
  return text
}

export const notUtf8 = (where: string) =>
  new SaqrError('FORMAT_TEXT', `${where} is not valid UTF-8. Save it as UTF-8 text, or fetch the file again.`)

/**
 * Parses JSON; the error names `where` and the place in it.
 * @param line the text is one line, which `where` names: only the column is told
 * @param exact keep what JavaScript's values don't say (see json-exact.ts); NaN and Infinity are numbers, as in Python
 */
export function parseJson(text: string, where: string, { line = false, exact = false } = {}): unknown {
  try {
    return exact ? parseExactly(text) : JSON.parse(text)
  } catch (cause) {
    const before = text.slice(0, jsonBreak(text, exact))
    const column = `column ${before.length - before.lastIndexOf('\n')}`
    const place = line && !text.includes('\n') ? `, ${column}` : `, line ${before.split('\n').length}, ${column}`
    throw new SaqrError('FORMAT_JSON', `${where}${place} is not valid JSON: ${reason(cause as Error)}.`, { cause })
  }
}

/** What the engine says, without the place in its own counting and without the text around it. */
function reason({ message }: Error): string {
  return message.replace(/(?: in JSON)? at position \d+.*$|, (?:\.\.\.)?"[\s\S]*" is not valid JSON$/, '')
}

/** The text of a UTF-8 file of at most 256 MiB, without a byte order mark. */
export function readText(path: string): string {
  let bytes: Uint8Array
  try {
    const fd = openSync(path, 'r')
    try {
      const stat = fstatSync(fd)
      if (!stat.isFile()) throw new SaqrError('FORMAT_NOT_A_FILE', `${path} is not a file.`)
      if (stat.size > largest)
        throw new SaqrError('FORMAT_TOO_LARGE', `${path} has ${stat.size} bytes; at most ${largest} are read as text.`)
      bytes = readFileSync(fd)
      refusePointer(bytes, path)
    } finally {
      closeSync(fd)
    }
  } catch (cause) {
    throw fileError(cause, path, 'read')
  }
  const text = decodeUtf8(bytes, path)
  return text.startsWith('\ufeff') ? text.slice(1) : text
}

/** @param exact as of `parseJson`: what is written again is written as it was (transformers refuses 30 where it wants 30.0) */
export function readJson(path: string, { exact = true } = {}): unknown {
  return parseJson(readText(path), path, { exact })
}

/** Reads a JSON file that must hold an object. */
export function readJsonObject(path: string, options?: { exact?: boolean }): JsonObject {
  const value = readJson(path, options)
  if (!isObject(value)) throw new SaqrError('FORMAT_JSON', `${path} must hold a JSON object, it holds ${spelled(value)}.`)
  return value
}

export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function spelled(value: unknown): string {
  if (value === null) return 'null'
  if (Array.isArray(value)) return 'a list'
  return `a ${typeof value}`
}

/** A value from a file for a message: short, and safe however deep the value is nested. */
export function show(value: unknown): string {
  if (value === undefined) return 'missing'
  const short = (text: string) => (text.length > 60 ? `${text.slice(0, 60)}…` : text)
  if (Array.isArray(value)) {
    const plain = value.length <= 8 && value.every((v) => typeof v !== 'object' || v === null)
    return plain ? short(`[${value.map(show).join(', ')}]`) : `a list of ${value.length}`
  }
  if (isObject(value)) return 'an object'
  return typeof value === 'string' ? short(JSON.stringify(value)) : String(value)
}

/** A number that Python holds as a float: written `1.0` and not `1`. */
export class Float {
  readonly value: number
  constructor(value: number) {
    this.value = value
  }
}

export interface JsonStyle {
  /** spaces a level; absent: one line with `, ` and `: ` */
  indent?: number
  sortKeys?: boolean
  /** escape everything outside ASCII, as `json.dumps` does unless told otherwise (default true) */
  ascii?: boolean
}

/**
 * What Python's `json.dumps` gives for the same value. `Float` marks floats, and so does what is remembered of a file (json-exact.ts); other
 * numbers are integers, or floats if they have a fraction.
 */
export function stringifyJson(value: unknown, style: JsonStyle = {}): string {
  let all = ''
  writeJson(value, style, (text) => {
    all += text
  })
  return all
}

/** characters that become bytes at once */
const PIECE = 1 << 16

/** The same as UTF-8, with a line's end, for what is large: nowhere a text of all of it. */
export function jsonLine(value: unknown, style: JsonStyle = {}): Uint8Array {
  const pieces: Buffer[] = []
  let waiting = ''
  writeJson(value, style, (text) => {
    waiting += text
    if (waiting.length < PIECE) return
    pieces.push(Buffer.from(waiting))
    waiting = ''
  })
  return Buffer.concat([...pieces, Buffer.from(`${waiting}\n`)])
}

function writeJson(value: unknown, style: JsonStyle, put: (text: string) => void): void {
  const ascii = style.ascii ?? true
  const text = (s: string) => {
    const quoted = JSON.stringify(s).replaceAll('\x7f', ascii ? '\\u007f' : '\x7f')
    return ascii ? quoted.replace(/[\u0080-\uffff]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`) : quoted
  }
  const list = <T>(open: string, items: readonly T[], close: string, depth: number, item: (one: T) => void) => {
    const line = (deep: number) => (style.indent === undefined ? '' : `\n${' '.repeat(style.indent * deep)}`)
    const between = style.indent === undefined ? ', ' : `,${line(depth + 1)}`
    put(open)
    for (let i = 0; i < items.length; i++) {
      put(i === 0 ? line(depth + 1) : between)
      item(items[i]!)
    }
    put(items.length === 0 ? close : line(depth) + close)
  }
  const write = (v: unknown, depth: number): void => {
    if (v === null || v === undefined) put('null')
    else if (typeof v === 'string') put(text(v))
    else if (typeof v === 'boolean' || typeof v === 'bigint') put(String(v))
    else if (typeof v === 'number') put(Number.isSafeInteger(v) ? String(v) : pythonFloat(v))
    else if (v instanceof Float) put(pythonFloat(v.value))
    else if (Array.isArray(v)) list('[', exactItems(v), ']', depth, (item) => write(item, depth + 1))
    else {
      const entries = exactEntries(v as JsonObject).filter(([, item]) => item !== undefined)
      if (style.sortKeys) entries.sort(([a], [b]) => compareCodePoints(a, b))
      list('{', entries, '}', depth, ([key, item]) => {
        put(`${text(key)}: `)
        write(item, depth + 1)
      })
    }
  }
  write(value, 0)
}

/** Python's `repr` of a float: exponent below 1e-4 and from 1e16 on, at least two digits in it. */
export function pythonFloat(x: number): string {
  if (Number.isNaN(x)) return 'NaN'
  if (!Number.isFinite(x)) return x > 0 ? 'Infinity' : '-Infinity'
  if (x === 0) return Object.is(x, -0) ? '-0.0' : '0.0'
  const size = Math.abs(x)
  if (size >= 1e16 || size < 1e-4) {
    const [digits, exponent] = x.toExponential().split('e') as [string, string]
    return `${digits}e${exponent[0]}${exponent.slice(1).padStart(2, '0')}`
  }
  return Number.isInteger(x) ? `${x}.0` : String(x)
}

/** Strings in the order of their code points, as Python and Rust sort (UTF-16 order differs above U+FFFF). */
export function compareCodePoints(a: string, b: string): number {
  return a === b ? 0 : Buffer.compare(Buffer.from(a), Buffer.from(b))
}
