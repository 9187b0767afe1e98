/** Methods of strings, mappings, lists and numbers that templates call. Those that change a value are refused, as in transformers' sandbox. */
import { take } from './arguments.ts'
import { isDigit, isNumeric } from './digits.ts'
import { braceFormat } from './format.ts'
import { isPythonSpace } from './lexer.ts'
import { str } from './text.ts'
import {
  type CallArgs,
  Callable,
  codePoints,
  Dict,
  defined,
  described,
  equal,
  fail,
  Iterator,
  iterate,
  joined,
  Range,
  Tuple,
  toIndex,
  type Value,
} from './values.ts'

type Method<T> = (self: T, args: CallArgs, name: string) => Value

/** A method of `of` by name. @throws TemplateError for one that changes the value */
export function method(of: Value, name: string, look: (of: Value, name: Value, isKey: boolean) => Value): Callable | undefined {
  const bound = <T extends Value>(self: T, f: Method<T> | undefined) => f && new Callable(name, (args: CallArgs) => f(self, args, name))
  if (typeof of === 'string') {
    if (name === 'format') return new Callable(name, (args) => braceFormat(of, args, look))
    return bound(of, own(ofText, name))
  }
  const changes = of instanceof Dict ? changingDict : Array.isArray(of) ? changingList : []
  if (changes.includes(name)) return new Callable(name, () => fail(`${name}() changes ${described(of)}, which templates may not`))
  if (of instanceof Dict) return bound(of, own(ofDict, name))
  const items = Array.isArray(of) ? of : of instanceof Tuple || of instanceof Range ? of.items : undefined
  if (items) {
    if (name === 'copy' && items === of) return new Callable(name, () => [...items])
    const call = own(ofList, name)
    return call && new Callable(name, (args) => call(items, args, name))
  }
  if (typeof of === 'number' && name === 'is_integer') return new Callable(name, () => Number.isInteger(of))
  return undefined
}

const own = <T>(table: Record<string, T>, name: string): T | undefined => (Object.hasOwn(table, name) ? table[name] : undefined)

const changingDict = ['clear', 'pop', 'popitem', 'setdefault', 'update']
const changingList = ['append', 'clear', 'pop', 'reverse', 'insert', 'sort', 'extend', 'remove']

const ofDict: Record<string, Method<Dict>> = {
  get(self, args) {
    const [key, fallback] = take(args, 'get', 'key', 'default?')
    return self.get(defined(key!)) ?? fallback ?? null
  },
  items: (self) => new Iterator(() => self.entries().map((entry) => new Tuple(entry)), 'dict_items'),
  keys: (self) => new Iterator(() => self.keys(), 'dict_keys'),
  values: (self) => new Iterator(() => self.values(), 'dict_values'),
  copy: (self) => new Dict(self.entries()),
}

const ofList: Record<string, Method<readonly Value[]>> = {
  index(self, args) {
    const [value, start, stop] = take(args, 'index', 'value', 'start?', 'stop?')
    const at = self.findIndex((x, i) => i >= Number(start ?? 0) && i < Number(stop ?? self.length) && equal(x, value!))
    return at === -1 ? fail('index() finds no such element') : BigInt(at)
  },
  count: (self, args) => BigInt(self.filter((x) => equal(x, take(args, 'count', 'value')[0]!)).length),
}

const text = (x: Value | undefined, what: string): string =>
  typeof x === 'string' ? x : fail(`${what} needs a string, not ${described(defined(x ?? null))}`)

/** Python's str.strip: of white space, or of any of the characters given. */
export function strip(s: string, chars: Value | undefined, left: boolean, right: boolean): string {
  const set = chars === undefined || chars === null ? undefined : new Set(text(chars, 'strip()'))
  const strippable = (c: string) => (set ? set.has(c) : isPythonSpace(c))
  const characters = codePoints(s)
  let from = 0
  let to = characters.length
  if (left) while (from < to && strippable(characters[from]!)) from++
  if (right) while (to > from && strippable(characters[to - 1]!)) to--
  return joined(characters.slice(from, to))
}

/** Words between runs of white space; after `limit` cuts the rest stays as it is. */
function splitSpace(s: string, limit: number, fromRight: boolean): string[] {
  const words: [number, number][] = []
  for (let at = 0; at < s.length; ) {
    if (isPythonSpace(s[at]!)) {
      at++
      continue
    }
    const from = at
    while (at < s.length && !isPythonSpace(s[at]!)) at++
    words.push([from, at])
  }
  const all = words.map(([from, to]) => s.slice(from, to))
  if (limit < 0 || all.length <= limit) return all
  const rest = all.length - limit
  if (fromRight) return [s.slice(0, words[rest - 1]![1]), ...all.slice(rest)]
  return [...all.slice(0, limit), s.slice(words[limit]![0])]
}

const lineEnds = '\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029'

/** Python's str.splitlines */
export function lines(s: string, keepEnds: boolean): string[] {
  const found: string[] = []
  for (let at = 0, from = 0; from < s.length; from = at) {
    while (at < s.length && !lineEnds.includes(s[at]!)) at++
    const end = at
    if (at < s.length) at += s.startsWith('\r\n', at) ? 2 : 1
    found.push(s.slice(from, keepEnds ? at : end))
  }
  return found
}

function split(self: string, args: CallArgs, fromRight: boolean): Value {
  const [separator, most] = take(args, 'split', 'sep?', 'maxsplit?')
  const limit = most === undefined ? -1 : toIndex(most)
  if (separator === undefined || separator === null) return splitSpace(self, limit, fromRight)
  const by = text(separator, 'split()')
  if (by === '') return fail('split() is given an empty separator')
  const all = self.split(by)
  if (limit < 0 || all.length <= limit + 1) return all
  return fromRight
    ? [all.slice(0, all.length - limit).join(by), ...all.slice(all.length - limit)]
    : [...all.slice(0, limit), all.slice(limit).join(by)]
}

/** Python's str.replace: the first `limit`, all where it is negative */
export function replace(s: string, from: string, to: string, limit: number): string {
  if (from === '') {
    const characters = [...s]
    if (limit < 0) return to + characters.map((c) => c + to).join('')
    return characters.map((c, i) => (i < limit ? to + c : c)).join('') + (characters.length < limit ? to : '')
  }
  if (limit < 0) return s.replaceAll(from, () => to)
  const parts = s.split(from)
  return (
    parts.slice(0, limit + 1).join(to) +
    parts
      .slice(limit + 1)
      .map((part) => from + part)
      .join('')
  )
}

/** `start` and `end` of startswith, find … by code points */
function within(self: string, start: Value | undefined, end: Value | undefined): { part: string; from: number } | undefined {
  const characters = codePoints(self)
  const n = characters.length
  const at = (x: Value | undefined, fallback: number) =>
    x === undefined || x === null ? fallback : toIndex(x) < 0 ? Math.max(0, toIndex(x) + n) : toIndex(x)
  const [from, to] = [at(start, 0), Math.min(n, at(end, n))]
  return from > n || from > to ? undefined : { part: joined(characters.slice(from, to)), from }
}

function affix(self: string, args: CallArgs, name: string, test: (part: string, affix: string) => boolean): boolean {
  const [affixes, start, end] = take(args, name, 'prefix', 'start?', 'end?')
  const part = within(self, start, end)?.part
  const all = affixes instanceof Tuple ? affixes.items : [affixes!]
  return part !== undefined && all.some((one) => test(part, text(one, `${name}()`)))
}

function find(self: string, args: CallArgs, name: string, last: boolean): number {
  const [sub, start, end] = take(args, name, 'sub', 'start?', 'end?')
  const found = within(self, start, end)
  const wanted = text(sub, `${name}()`)
  const at = found ? (last ? found.part.lastIndexOf(wanted) : found.part.indexOf(wanted)) : -1
  return at === -1 ? -1 : found!.from + codePoints(found!.part.slice(0, at)).length
}

function partition(self: string, args: CallArgs, last: boolean): Value {
  const by = text(take(args, 'partition', 'sep')[0], 'partition()')
  const at = by === '' ? fail('partition() is given an empty separator') : last ? self.lastIndexOf(by) : self.indexOf(by)
  if (at === -1) return new Tuple(last ? ['', '', self] : [self, '', ''])
  return new Tuple([self.slice(0, at), by, self.slice(at + by.length)])
}

function justify(self: string, args: CallArgs, name: string): string {
  const [width, fill = ' '] = take(args, name, 'width', 'fillchar?')
  const missing = toIndex(width!) - codePoints(self).length
  const c = text(fill, `${name}()`)
  if ([...c].length !== 1) return fail(`${name}() fills with one character`)
  if (missing <= 0) return self
  if (name === 'ljust') return self + c.repeat(missing)
  if (name === 'rjust') return c.repeat(missing) + self
  const left = Math.floor(missing / 2) + (missing & toIndex(width!) & 1)
  return c.repeat(left) + self + c.repeat(missing - left)
}

const every = (pattern: RegExp) => (self: string) => self !== '' && [...self].every((c) => pattern.test(c))

/** first character of a word in title case, the rest lower: a word is a run of letters */
export const title = (s: string): string => s.replace(/(\p{L}|\p{M}|\p{Lt})+/gu, (word) => capitalized(word))

/** two letters in one character, of which the first is capital in a title */
const titled: Record<string, string> = { Ǆ: 'ǅ', Ǉ: 'ǈ', Ǌ: 'ǋ', Ǳ: 'ǲ' }

export const capitalized = (s: string): string => {
  const [first = '', ...rest] = s
  const upper = titled[first.toUpperCase()] ?? first.toUpperCase()
  // ß is Ss, not SS, at the beginning of a word
  return ([...upper].length > 1 ? [...upper][0]! + [...upper].slice(1).join('').toLowerCase() : upper) + rest.join('').toLowerCase()
}

/** Tabs as spaces up to the next column that `size` divides; a line begins behind \n and \r. */
function expanded(self: string, size: number): string {
  let column = 0
  return [...self]
    .map((c) => {
      if (c === '\n' || c === '\r') column = 0
      else if (c !== '\t') column++
      else {
        const spaces = size > 0 ? size - (column % size) : 0
        column += spaces
        return ' '.repeat(spaces)
      }
      return c
    })
    .join('')
}

const cased = /\p{L}/u
const ofText: Record<string, Method<string>> = {
  strip: (self, args) => strip(self, take(args, 'strip', 'chars?')[0], true, true),
  lstrip: (self, args) => strip(self, take(args, 'lstrip', 'chars?')[0], true, false),
  rstrip: (self, args) => strip(self, take(args, 'rstrip', 'chars?')[0], false, true),
  split: (self, args) => split(self, args, false),
  rsplit: (self, args) => split(self, args, true),
  splitlines(self, args) {
    const keep = take(args, 'splitlines', 'keepends?')[0] === true
    return lines(self, keep)
  },
  startswith: (self, args, name) => affix(self, args, name, (part, prefix) => part.startsWith(prefix)),
  endswith: (self, args, name) => affix(self, args, name, (part, suffix) => part.endsWith(suffix)),
  replace(self, args) {
    const [from, to, most] = take(args, 'replace', 'old', 'new', 'count?')
    return replace(self, text(from, 'replace()'), text(to, 'replace()'), most === undefined ? -1 : toIndex(most))
  },
  find: (self, args, name) => BigInt(find(self, args, name, false)),
  rfind: (self, args, name) => BigInt(find(self, args, name, true)),
  index: (self, args, name) => found(find(self, args, name, false)),
  rindex: (self, args, name) => found(find(self, args, name, true)),
  count(self, args, name) {
    const [sub, start, end] = take(args, name, 'sub', 'start?', 'end?')
    const wanted = text(sub, 'count()')
    const part = within(self, start, end)?.part
    if (part === undefined) return 0n
    return BigInt(wanted === '' ? codePoints(part).length + 1 : part.split(wanted).length - 1)
  },
  join: (self, args) =>
    iterate(defined(take(args, 'join', 'iterable')[0]!))
      .map((x) => text(x, 'join()'))
      .join(self),
  partition: (self, args) => partition(self, args, false),
  rpartition: (self, args) => partition(self, args, true),
  removeprefix(self, args) {
    const prefix = text(take(args, 'removeprefix', 'prefix')[0], 'removeprefix()')
    return self.startsWith(prefix) ? self.slice(prefix.length) : self
  },
  removesuffix(self, args) {
    const suffix = text(take(args, 'removesuffix', 'suffix')[0], 'removesuffix()')
    return suffix !== '' && self.endsWith(suffix) ? self.slice(0, -suffix.length) : self
  },
  lower: (self) => self.toLowerCase(),
  upper: (self) => self.toUpperCase(),
  casefold: (self) => self.toLowerCase().replaceAll('ß', 'ss').replaceAll('ς', 'σ'),
  title: (self) => title(self),
  capitalize: (self) => capitalized(self),
  swapcase: (self) => [...self].map((c) => (c === c.toLowerCase() ? c.toUpperCase() : c.toLowerCase())).join(''),
  ljust: justify,
  rjust: justify,
  center: justify,
  zfill(self, args) {
    const missing = toIndex(take(args, 'zfill', 'width')[0]!) - codePoints(self).length
    const sign = /^[-+]/.exec(self)?.[0] ?? ''
    return missing > 0 ? sign + '0'.repeat(missing) + self.slice(sign.length) : self
  },
  expandtabs: (self, args) => expanded(self, toIndex(take(args, 'expandtabs', 'tabsize?')[0] ?? 8n)),
  isspace: (self) => self !== '' && [...self].every(isPythonSpace),
  isalpha: every(/\p{L}/u),
  isalnum: (self) => self !== '' && [...self].every((c) => cased.test(c) || isNumeric.test(c)),
  isdigit: every(isDigit),
  isdecimal: every(/\p{Nd}/u),
  isnumeric: every(isNumeric),
  isascii: (self) => [...self].every((c) => c <= '\x7f'),
  islower: (self) => cased.test(self) && self === self.toLowerCase() && self !== self.toUpperCase(),
  isupper: (self) => cased.test(self) && self === self.toUpperCase() && self !== self.toLowerCase(),
  istitle: (self) => cased.test(self) && self === title(self),
  isidentifier: (self) => /^[\p{XID_Start}_]\p{XID_Continue}*$/u.test(self),
}

for (const name of ['encode', 'translate', 'maketrans', 'format_map', 'isprintable'])
  ofText[name] = () => fail(`${name}() is not supported`)

const found = (at: number): bigint => (at === -1 ? fail('index() finds no such text') : BigInt(at))

/** as a filter: of any value's text */
export const stripped = (x: Value, chars: Value | undefined): string => strip(str(x), chars, true, true)
