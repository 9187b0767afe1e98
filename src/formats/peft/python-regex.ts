/**
 * Regular expressions of Python's `re`, in which adapter_config.json names modules, as JavaScript's: translated exactly, or refused by naming what
 * can't be. Groups don't capture: nothing refers back to them. Both engines read the rest alike: on module paths (ASCII, one line) classes, anchors and `.` mean the same.
 */
import { SaqrError } from '../../error.ts'
import { show } from '../json.ts'

export interface PythonRegex {
  source: string
  flags: string
}

/** Letters after a backslash that both read alike, or that have a twin. */
const ESCAPES: Readonly<Record<string, string>> = {
  A: '(?<![\\s\\S])', Z: '(?![\\s\\S])', a: '\\x07',
  ...Object.fromEntries([...'bBdDsSwWfnrtv'].map((c) => [c, `\\${c}`])),
} // biome-ignore format: a table

const BRACES = /^\{(\d*)(,?)(\d*)\}/

export interface RegexUse {
  /** what the expression was given for */
  field: string
  /** of the error */
  code: 'OPTION_MODULES' | 'FORMAT_ADAPTER'
  /** it stands inside a longer one: Python takes no flags there */
  inside?: boolean
}

/** @throws SaqrError naming the expression and what of it is not understood */
export function pythonRegex(pattern: string, use: RegexUse): PythonRegex {
  const { source, flags } = new Translation(pattern, use).whole()
  try {
    new RegExp(source, flags)
  } catch (cause) {
    throw refusal(pattern, use, `is no such: ${(cause as Error).message.replace(/^.*: /, '')}`)
  }
  return { source, flags }
}

function refusal(pattern: string, { field, code }: RegexUse, what: string): SaqrError {
  return new SaqrError(
    code,
    `${field} ${show(pattern)}, a regular expression in Python's syntax, ${what}. Name the modules, or write it in another way.`,
  )
}

class Translation {
  readonly #pattern: string
  readonly #use: RegexUse
  #at = 0
  #flags = ''
  /** atomic groups so far */
  #atomics = 0
  readonly #names = new Set<string>()

  constructor(pattern: string, use: RegexUse) {
    this.#pattern = pattern
    this.#use = use
  }

  whole(): PythonRegex {
    this.#globalFlags()
    const source = this.#alternatives()
    if (this.#at < this.#pattern.length) throw this.#fail('has a ) that nothing opens')
    return { source, flags: this.#flags }
  }

  #fail(what: string): SaqrError {
    return refusal(this.#pattern, this.#use, what)
  }

  #rest(): string {
    return this.#pattern.slice(this.#at)
  }

  /** `(?is)` at the start; Python takes them nowhere else. */
  #globalFlags(): void {
    for (let m = /^\(\?([a-zA-Z]+)\)/.exec(this.#rest()); m; m = /^\(\?([a-zA-Z]+)\)/.exec(this.#rest())) {
      if (this.#use.inside) throw this.#fail('has flags, which Python takes at the start of a whole expression only')
      for (const flag of m[1]!) {
        // a, u: no difference on ASCII paths; m: on one line
        if (flag === 'i' || flag === 's') this.#flags = [...new Set(this.#flags + flag)].join('')
        else if (!'aum'.includes(flag)) throw this.#fail(`has the flag ${flag}, which is not understood here`)
      }
      this.#at += m[0].length
    }
  }

  #alternatives(): string {
    let source = ''
    while (this.#at < this.#pattern.length && this.#pattern[this.#at] !== ')') {
      if (this.#pattern[this.#at] === '|') {
        source += '|'
        this.#at++
      } else source += this.#quantified()
    }
    return source
  }

  /** One piece and how often it may come; a possessive one gives nothing back: `x*+` is `(?>x*)`. */
  #quantified(): string {
    const single = this.#pattern[this.#at] !== '('
    const piece = this.#piece()
    const often = this.#quantifier()
    if (often === '') return piece
    if (this.#pattern[this.#at] !== '+' || /.\?$/.test(often)) return piece + often
    this.#at++
    // Python doesn't go back into a repetition of it either, nor do the two treat an empty one alike
    if (!single) throw this.#fail('has a possessive quantifier behind a group, which is not understood here')
    return this.#atomic(piece + often)
  }

  /** No backtracking into it: a lookahead keeps what it found, and that is then taken. */
  #atomic(source: string): string {
    const name = `atomic${++this.#atomics}`
    return `(?:(?=(?<${name}>${source}))\\k<${name}>)`
  }

  #quantifier(): string {
    const [sign] = /^[*+?]/.exec(this.#rest()) ?? []
    const [braces, least, comma, most] = BRACES.exec(this.#rest()) ?? []
    let often = sign ?? ''
    if (braces !== undefined && (least || comma)) often = comma ? `{${least || 0},${most}}` : `{${least}}`
    if (often === '') return ''
    this.#at += (sign ?? braces!).length
    if (this.#pattern[this.#at] === '?') {
      this.#at++
      often += '?'
    }
    return often
  }

  #piece(): string {
    const c = this.#pattern[this.#at]!
    if (c === '(') return this.#group()
    if (c === '[') return this.#set()
    if (c === '\\') return this.#escape(false)
    if ('*+?'.includes(c)) throw this.#fail(`has a ${c} with nothing before it to repeat`)
    this.#at++
    if (c === '$') return '(?=\\n?(?![\\s\\S]))'
    return '{}]/'.includes(c) ? `\\${c}` : c
  }

  #group(): string {
    const rest = this.#rest()
    const take = (length: number) => (this.#at += length)
    const closed = (open: string) => {
      const inside = this.#alternatives()
      if (this.#pattern[this.#at] !== ')') throw this.#fail('has a ( that nothing closes')
      this.#at++
      return `${open}${inside})`
    }
    const [named, name] = /^\(\?P<(\w+)>/.exec(rest) ?? []
    if (named !== undefined) {
      if (this.#names.has(name!) || !/^[A-Za-z_]/.test(name!))
        throw this.#fail(`has the group name ${show(name)} twice, or one that may not be`)
      this.#names.add(name!)
      take(named.length)
      return closed('(?:')
    }
    // a group that took no part matches nothing in Python, the empty text in JavaScript
    if (rest.startsWith('(?P=')) throw this.#fail('refers back to a group, which is not understood here')
    const [comment] = /^\(\?#[^)]*\)/.exec(rest) ?? []
    if (comment !== undefined) {
      take(comment.length)
      return ''
    }
    const [plain] = /^\(\?(?::|=|!|<=|<!)/.exec(rest) ?? []
    if (plain !== undefined) {
      take(plain.length)
      return closed(plain)
    }
    if (rest.startsWith('(?>')) {
      take(3)
      const inside = closed('(?:')
      if (inside.includes('(', 1)) throw this.#fail('has an atomic group with groups in it, which is not understood here')
      return this.#atomic(inside)
    }
    if (rest.startsWith('(?')) throw this.#fail(`has ${show(/^\(\?[^)]{0,8}/.exec(rest)![0])}, which is not understood here`)
    take(1)
    return closed('(?:')
  }

  /** `[…]`: a ] that comes first stands for itself. */
  #set(): string {
    this.#at++
    let source = '['
    if (this.#pattern[this.#at] === '^') {
      source += '^'
      this.#at++
    }
    for (let first = true; first || this.#pattern[this.#at] !== ']'; first = false) {
      const c = this.#pattern[this.#at]
      if (c === undefined) throw this.#fail('has a [ that nothing closes')
      if (c === '\\') source += this.#escape(true)
      else {
        source += c === ']' || c === '[' ? `\\${c}` : c
        this.#at++
      }
    }
    this.#at++
    return `${source}]`
  }

  #escape(inSet: boolean): string {
    const rest = this.#rest()
    const [hex] = /^\\(?:x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4})/.exec(rest) ?? []
    if (hex !== undefined) {
      this.#at += hex.length
      return hex
    }
    const [octal, digits] = /^\\(0[0-7]{0,2}|[1-3][0-7]{2})/.exec(rest) ?? []
    if (octal !== undefined) {
      this.#at += octal.length
      return `\\x${Number.parseInt(digits!, 8).toString(16).padStart(2, '0')}`
    }
    if (/^\\[1-9]/.test(rest)) throw this.#fail('refers back to a group, which is not understood here')
    const c = rest[1]
    if (c === undefined) throw this.#fail('ends in a backslash')
    this.#at += 2
    if (!/[A-Za-z0-9]/.test(c)) return /[\^$\\.*+?()[\]{}|/-]/.test(c) ? `\\${c}` : c
    const twin = Object.hasOwn(ESCAPES, c) && !(inSet && 'ABZ'.includes(c)) ? ESCAPES[c] : undefined
    if (twin === undefined) throw this.#fail(`has \\${c}, which is not understood here`)
    return twin
  }
}
