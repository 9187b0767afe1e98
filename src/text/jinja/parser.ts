/** Tokens to statements; the grammar is jinja2's, with loop controls and transformers' `generation` block. */
import type { Expr, MacroNode, Stmt, Target } from './ast.ts'
import { Expressions } from './expressions.ts'
import { tokenize } from './lexer.ts'

/** @throws TemplateError */
export function parse(source: string): Stmt[] {
  return new Parser(tokenize(source)).program()
}

class Parser extends Expressions {
  /** loops around us within this macro or block: `break` needs one */
  #loops = 0

  program(): Stmt[] {
    const body = this.#body([])
    if (this.peek().kind !== 'end') this.fail('unexpected tag')
    return body
  }

  /** Statements up to a tag named in `until`, whose name is the next token then. */
  #body(until: string[]): Stmt[] {
    const body: Stmt[] = []
    for (;;) {
      const { kind, text } = this.peek()
      if (kind === 'end') {
        if (until.length > 0) this.fail(`the template ends where ${until.join(' or ')} is expected`)
        return body
      }
      this.next()
      if (kind === 'data') body.push({ type: 'data', text })
      else if (kind === 'printBegin') {
        body.push({ type: 'print', value: this.tuple() })
        this.expectKind('printEnd')
      } else if (until.includes(this.peek().text) && this.peek().kind === 'name') return body
      else body.push(...this.#statement())
    }
  }

  #statement(): Stmt[] {
    const tag = this.expectKind('name').text
    const read = this.#tags[tag]
    if (!read) this.fail(`unknown or unsupported tag ${tag}`)
    return read!()
  }

  readonly #tags: Record<string, () => Stmt[]> = {
    if: () => [this.#if()],
    for: () => [this.#for()],
    set: () => [this.#set()],
    macro: () => [this.#macro()],
    call: () => [this.#call()],
    filter: () => [this.#filterBlock()],
    with: () => [this.#with()],
    saqr_begin: () => this.#mark(true),
    saqr_end: () => this.#mark(false),
    generation: () => [{ type: 'generation', body: this.#closed('endgeneration') }],
    print: () => this.#prints(),
    break: () => [this.#jump('break')],
    continue: () => [this.#jump('continue')],
  }

  /** A body that can't be left by break or continue: it is a function of its own. */
  #closed(end: string): Stmt[] {
    const loops = this.#loops
    this.#loops = 0
    const body = this.#inner(end)
    this.#loops = loops
    return body
  }

  #inner(end: string): Stmt[] {
    const body = this.#block([end])
    this.#end(end)
    return body
  }

  #block(until: string[]): Stmt[] {
    if (this.isOperator(':')) this.next()
    this.expectKind('blockEnd')
    return this.#body(until)
  }

  #end(name: string): void {
    this.expectName(name)
    this.expectKind('blockEnd')
  }

  #if(): Stmt {
    const branches: { test: Expr; body: Stmt[] }[] = []
    let otherwise: Stmt[] = []
    do {
      const test = this.tuple(false)
      branches.push({ test, body: this.#block(['elif', 'else', 'endif']) })
    } while (this.takeName('elif'))
    if (this.takeName('else')) otherwise = this.#block(['endif'])
    this.#end('endif')
    return { type: 'if', branches, otherwise }
  }

  #for(): Stmt {
    const target = this.#target(['in'])
    this.expectName('in')
    const items = this.tuple(false)
    const where = this.takeName('if') ? this.expression() : null
    const recursive = this.takeName('recursive')
    this.#loops++
    const body = this.#block(['endfor', 'else'])
    this.#loops--
    const otherwise = this.takeName('else') ? this.#block(['endfor']) : []
    this.#end('endfor')
    return { type: 'for', target, items, where, body, otherwise, recursive }
  }

  #target(until: string[]): Target {
    const items: Target[] = []
    let isTuple = false
    for (;;) {
      if (this.isOperator('(')) {
        this.next()
        items.push(this.#target([]))
        this.expectOperator(')')
      } else items.push(this.#single())
      if (!this.isOperator(',')) break
      this.next()
      isTuple = true
      if (this.isOperator('=', ')') || (this.peek().kind === 'name' && until.includes(this.peek().text))) break
    }
    return isTuple ? { type: 'targets', items } : items[0]!
  }

  #single(): Target {
    const name = this.expectKind('name').text
    if (!this.isOperator('.')) return { type: 'name', name }
    this.next()
    return { type: 'field', name, field: this.expectKind('name').text }
  }

  #set(): Stmt {
    const target = this.#target([])
    if (this.isOperator('=')) {
      this.next()
      const value = this.tuple()
      this.expectKind('blockEnd')
      return { type: 'set', target, value }
    }
    const filters = this.isOperator('|') ? this.filters(null) : null
    return { type: 'setBlock', target, filters, body: this.#inner('endset') }
  }

  #parameters(): MacroNode['parameters'] {
    const parameters: MacroNode['parameters'] = []
    this.expectOperator('(')
    while (!this.isOperator(')')) {
      if (parameters.length > 0) this.expectOperator(',')
      const name = this.expectKind('name').text
      const value = this.takeOperator('=') ? this.expression() : null
      if (value === null && parameters.at(-1)?.value) this.fail('a parameter without default follows one with a default')
      parameters.push({ name, value })
    }
    this.next()
    return parameters
  }

  #macro(): MacroNode {
    const name = this.expectKind('name').text
    const parameters = this.#parameters()
    return { type: 'macro', name, parameters, body: this.#closed('endmacro') }
  }

  #call(): Stmt {
    const parameters = this.isOperator('(') ? this.#parameters() : []
    const call = this.expression()
    if (call.type !== 'call') this.fail('a call block needs a call')
    return { type: 'callBlock', call, caller: { type: 'macro', name: 'caller', parameters, body: this.#closed('endcall') } }
  }

  #filterBlock(): Stmt {
    const filters = this.filters(null, true)
    return { type: 'filterBlock', filters, body: this.#inner('endfilter') }
  }

  #with(): Stmt {
    const values: [Target, Expr][] = []
    while (this.peek().kind !== 'blockEnd') {
      if (values.length > 0) this.expectOperator(',')
      const target = this.#single()
      this.expectOperator('=')
      values.push([target, this.expression()])
    }
    const body = this.#block(['endwith'])
    this.#end('endwith')
    return { type: 'with', values, body }
  }

  #prints(): Stmt[] {
    const values: Stmt[] = []
    while (this.peek().kind !== 'blockEnd') {
      if (values.length > 0) this.expectOperator(',')
      values.push({ type: 'print', value: this.expression() })
    }
    this.next()
    return values
  }

  #mark(begins: boolean): Stmt[] {
    this.expectKind('blockEnd')
    return [{ type: 'mark', begins }]
  }

  #jump(type: 'break' | 'continue'): Stmt {
    if (this.#loops === 0) this.fail(`${type} stands outside of a loop`)
    this.expectKind('blockEnd')
    return { type }
  }
}
