/** Tokens to expressions, with jinja2's precedence: or, and, not, comparisons, + −, ~, * / // %, **, unary, postfix, filters and tests. */
import type { Args, Expr } from './ast.ts'
import { TemplateError } from './error.ts'
import type { Token, TokenKind } from './lexer.ts'

const comparisons = ['==', '!=', '<', '<=', '>', '>=']

export class Expressions {
  readonly #tokens: readonly Token[]
  #at = 0

  constructor(tokens: readonly Token[]) {
    this.#tokens = tokens
  }

  protected peek(ahead = 0): Token {
    return this.#tokens[Math.min(this.#at + ahead, this.#tokens.length - 1)]!
  }

  protected next(): Token {
    const token = this.peek()
    this.#at++
    return token
  }

  protected fail(why: string): never {
    throw new TemplateError(`${why} in line ${this.peek().line}`)
  }

  protected isOperator(...texts: string[]): boolean {
    const { kind, text } = this.peek()
    return kind === 'operator' && texts.includes(text)
  }

  protected isName(text: string, ahead = 0): boolean {
    const token = this.peek(ahead)
    return token.kind === 'name' && token.text === text
  }

  protected takeName(text: string): boolean {
    if (!this.isName(text)) return false
    this.next()
    return true
  }

  protected takeOperator(text: string): boolean {
    if (!this.isOperator(text)) return false
    this.next()
    return true
  }

  protected expectKind(kind: TokenKind): Token {
    if (this.peek().kind !== kind) this.fail(`unexpected ${shown(this.peek())}`)
    return this.next()
  }

  protected expectName(text: string): void {
    if (!this.takeName(text)) this.fail(`${text} is expected, not ${shown(this.peek())},`)
  }

  protected expectOperator(text: string): void {
    if (!this.isOperator(text)) this.fail(`"${text}" is expected, not ${shown(this.peek())},`)
    this.next()
  }

  /** `a, b` is a tuple; where `choices` is off, `if` ends the expression (`for x in y if z`). */
  protected tuple(choices = true, parenthesised = false): Expr {
    const items: Expr[] = []
    let isTuple = false
    const one = () => (choices ? this.expression() : this.#or())
    while (!this.#endsTuple()) {
      items.push(one())
      if (!this.isOperator(',')) break
      this.next()
      isTuple = true
    }
    if (items.length === 0 && !parenthesised) this.fail(`an expression is expected, not ${shown(this.peek())},`)
    return isTuple || items.length === 0 ? { type: 'tuple', items } : items[0]!
  }

  #endsTuple(): boolean {
    const { kind, text } = this.peek()
    return kind === 'blockEnd' || kind === 'printEnd' || (kind === 'operator' && text === ')')
  }

  protected expression(): Expr {
    let value = this.#or()
    while (this.takeName('if')) {
      const test = this.#or()
      value = { type: 'choice', test, yes: value, no: this.takeName('else') ? this.expression() : null }
    }
    return value
  }

  #or(): Expr {
    let left = this.#and()
    while (this.takeName('or')) left = { type: 'logic', operator: 'or', left, right: this.#and() }
    return left
  }

  #and(): Expr {
    let left = this.#not()
    while (this.takeName('and')) left = { type: 'logic', operator: 'and', left, right: this.#not() }
    return left
  }

  #not(): Expr {
    if (this.takeName('not')) return { type: 'unary', operator: 'not', of: this.#not() }
    return this.#compare()
  }

  #compare(): Expr {
    const first = this.#sum()
    const rest: [string, Expr][] = []
    for (;;) {
      if (this.isOperator(...comparisons)) rest.push([this.next().text, this.#sum()])
      else if (this.takeName('in')) rest.push(['in', this.#sum()])
      else if (this.isName('not') && this.isName('in', 1)) {
        this.next()
        this.next()
        rest.push(['not in', this.#sum()])
      } else break
    }
    return rest.length > 0 ? { type: 'compare', first, rest } : first
  }

  #binary(operators: string[], inner: () => Expr): Expr {
    let left = inner()
    while (this.isOperator(...operators)) left = { type: 'binary', operator: this.next().text, left, right: inner() }
    return left
  }

  #sum = (): Expr => this.#binary(['+', '-'], this.#concat)

  #concat = (): Expr => {
    const items = [this.#product()]
    while (this.isOperator('~')) {
      this.next()
      items.push(this.#product())
    }
    return items.length > 1 ? { type: 'concat', items } : items[0]!
  }

  #product = (): Expr => this.#binary(['*', '/', '//', '%'], this.#power)

  #power = (): Expr => this.#binary(['**'], () => this.#unary(true))

  #unary(filters: boolean): Expr {
    let value: Expr
    if (this.isOperator('-', '+')) value = { type: 'unary', operator: this.next().text as '-' | '+', of: this.#unary(false) }
    else value = this.#primary()
    value = this.#postfix(value)
    return filters ? this.#filtersAndTests(value) : value
  }

  #primary(): Expr {
    const token = this.next()
    switch (token.kind) {
      case 'name':
        return named(token.text)
      case 'string': {
        let value = token.text
        while (this.peek().kind === 'string') value += this.next().text
        return { type: 'const', value }
      }
      case 'integer':
        return { type: 'const', value: BigInt(token.text) }
      case 'float':
        return { type: 'const', value: Number(token.text) }
      case 'operator':
        if (token.text === '(') {
          const value = this.tuple(true, true)
          this.expectOperator(')')
          return value
        }
        if (token.text === '[') return { type: 'list', items: this.#items(']', () => this.expression()) }
        if (token.text === '{') return { type: 'dict', items: this.#items('}', () => this.#pair()) }
    }
    this.#at--
    return this.fail(`unexpected ${shown(token)}`)
  }

  #items<T>(end: string, one: () => T): T[] {
    const items: T[] = []
    while (!this.isOperator(end)) {
      if (items.length > 0) this.expectOperator(',')
      if (this.isOperator(end)) break
      items.push(one())
    }
    this.next()
    return items
  }

  #pair(): [Expr, Expr] {
    const key = this.expression()
    this.expectOperator(':')
    return [key, this.expression()]
  }

  #postfix(value: Expr): Expr {
    let of = value
    for (;;) {
      if (this.isOperator('.', '[')) of = this.#subscript(of)
      else if (this.isOperator('(')) of = { type: 'call', callee: of, args: this.#args() }
      else return of
    }
  }

  #subscript(of: Expr): Expr {
    if (this.next().text === '.') {
      const token = this.next()
      if (token.kind === 'name') return { type: 'attribute', of, name: token.text }
      if (token.kind === 'integer') return { type: 'item', of, key: { type: 'const', value: BigInt(token.text) } }
      return this.fail('a name or number is expected after a dot')
    }
    const at = (...ends: string[]) => this.isOperator(...ends)
    const part = () => (at(':', ']', ',') ? null : this.expression())
    const start = part()
    if (!at(':')) {
      if (at(',')) this.fail('a subscript of several values is not supported')
      this.expectOperator(']')
      return start ? { type: 'item', of, key: start } : this.fail('a subscript is expected')
    }
    this.next()
    const stop = part()
    const step = this.takeOperator(':') ? part() : null
    this.expectOperator(']')
    return { type: 'slice', of, start, stop, step }
  }

  #args(): Args {
    const args: Args = { positional: [], named: [], list: null, mapping: null }
    this.expectOperator('(')
    for (let first = true; !this.isOperator(')'); first = false) {
      if (!first) this.expectOperator(',')
      if (this.isOperator(')')) break
      if (this.isOperator('*')) {
        this.next()
        args.list = this.expression()
      } else if (this.isOperator('**')) {
        this.next()
        args.mapping = this.expression()
      } else if (this.peek().kind === 'name' && this.peek(1).kind === 'operator' && this.peek(1).text === '=') {
        const name = this.next().text
        this.next()
        args.named.push([name, this.expression()])
      } else if (args.named.length > 0 || args.mapping) this.fail('a positional argument follows a named one')
      else args.positional.push(this.expression())
    }
    this.next()
    return args
  }

  #filtersAndTests(value: Expr): Expr {
    let of = value
    for (;;) {
      if (this.isOperator('|')) of = this.filters(of)
      else if (this.isName('is')) of = this.#test(of)
      else if (this.isOperator('(')) of = { type: 'call', callee: of, args: this.#args() }
      else return of
    }
  }

  #dotted(): string {
    let name = this.expectKind('name').text
    while (this.isOperator('.')) {
      this.next()
      name += `.${this.expectKind('name').text}`
    }
    return name
  }

  /** `|a|b(c)` behind `of`; in a filter block the first has no bar. */
  protected filters(value: Expr | null, bare = false): Expr {
    let of = value
    let first = bare
    while (first || this.isOperator('|')) {
      if (!first) this.next()
      first = false
      const name = this.#dotted()
      of = { type: 'filter', name, of, args: this.isOperator('(') ? this.#args() : noArgs() }
    }
    return of!
  }

  #test(of: Expr): Expr {
    this.next()
    const negated = this.takeName('not')
    const name = this.#dotted()
    let args = noArgs()
    const { kind } = this.peek()
    if (this.isOperator('(')) args = this.#args()
    else if (['name', 'string', 'integer', 'float'].includes(kind) || this.isOperator('[', '{')) {
      if (this.isName('is')) this.fail('tests can not be chained with is')
      if (!['else', 'or', 'and'].some((word) => this.isName(word))) args.positional.push(this.#postfix(this.#primary()))
    }
    const test: Expr = { type: 'test', name, of, args }
    return negated ? { type: 'unary', operator: 'not', of: test } : test
  }
}

const noArgs = (): Args => ({ positional: [], named: [], list: null, mapping: null })

function named(name: string): Expr {
  if (name === 'true' || name === 'True') return { type: 'const', value: true }
  if (name === 'false' || name === 'False') return { type: 'const', value: false }
  if (name === 'none' || name === 'None') return { type: 'const', value: null }
  return { type: 'name', name }
}

function shown({ kind, text }: Token): string {
  if (text !== '') return JSON.stringify(text)
  return { blockEnd: '%}', printEnd: '}}', blockBegin: '{%', printBegin: '{{', end: 'the end of the template' }[kind as string] ?? kind
}
