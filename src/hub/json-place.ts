/** Where a text stops being JSON. Engines tell it for some mistakes only, and each in other words. */

const whitespace = /[ \t\n\r]*/y
const literal = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null/y
const withNaN = new RegExp(`-?Infinity|NaN|${literal.source}`, 'y')
const escaped = /\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})/y

/** Index of the first token that can't stand where it stands; the length of the text where it ends too early, or is JSON. With `nan`, NaN and Infinity are numbers. */
export function jsonBreak(text: string, nan = false): number {
  /** what closes each list and object that is open */
  const closers: string[] = []
  let expected: 'value' | 'name' | 'colon' | 'comma' = 'value'
  let empty = false // a list or an object was just opened, and may be closed at once
  for (let at = 0; ; ) {
    at = after(whitespace, text, at)!
    const c = text[at]
    const closer = closers.at(-1)
    if (c === undefined || (expected === 'comma' && closer === undefined)) return at
    if (c === closer && (expected === 'comma' || empty)) {
      closers.pop()
      at++
      expected = 'comma'
    } else if (expected === 'comma' || expected === 'colon') {
      if (c !== (expected === 'comma' ? ',' : ':')) return at
      at++
      expected = expected === 'comma' && closer === '}' ? 'name' : 'value'
    } else if (c === '"') {
      const string = stringEnd(text, at)
      if (!string.closed) return string.at
      at = string.at
      expected = expected === 'name' ? 'colon' : 'comma'
    } else if (expected === 'name') return at
    else if (c === '{' || c === '[') {
      closers.push(c === '{' ? '}' : ']')
      at++
      expected = c === '{' ? 'name' : 'value'
      empty = true
      continue
    } else {
      const end = after(nan ? withNaN : literal, text, at)
      if (end === undefined) return at
      at = end
      expected = 'comma'
    }
    empty = false
  }
}

function after(token: RegExp, text: string, at: number): number | undefined {
  token.lastIndex = at
  return token.test(text) ? token.lastIndex : undefined
}

/** The index after a string that begins at `from`, or of what can't stand in it. */
function stringEnd(text: string, from: number): { at: number; closed: boolean } {
  for (let at = from + 1; at < text.length; ) {
    const c = text[at]!
    if (c === '"') return { at: at + 1, closed: true }
    if (c < ' ') return { at, closed: false }
    const next = c === '\\' ? after(escaped, text, at) : at + 1
    if (next === undefined) return { at, closed: false }
    at = next
  }
  return { at: text.length, closed: false }
}
