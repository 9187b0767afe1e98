/** Statements to text. */
import type { Expr, MacroNode, Stmt, Target } from './ast.ts'
import { Evaluator } from './evaluate.ts'
import { messagesIn } from './provenance.ts'
import { nothing, type Reads, Scope } from './scope.ts'
import { str } from './text.ts'
import { type CallArgs, Callable, Dict, equal, fail, iterate, Namespace, Tuple, Undefined, type Value } from './values.ts'

type Jump = 'break' | 'continue' | undefined

/** [start, end) in UTF-16 units of the text */
export type Span = readonly [number, number]

/** Runs a parsed template once. */
export class Renderer extends Evaluator {
  /** what `{% generation %}` blocks wrote */
  readonly spans: Span[] = []
  /** of each span, the messages it is made of */
  readonly writers: number[][] = []
  /** a `{% generation %}` block stands in something that is not printed as it is (a macro, a variable, a filter, another such block) */
  generationIsHidden = false
  #text = ''
  #captures = 0
  /** where the last mark began */
  #began = 0

  /** @throws TemplateError */
  render(program: readonly Stmt[], scope: Scope): string {
    this.#run(program, scope)
    return this.#text
  }

  #run(body: readonly Stmt[], scope: Scope): Jump {
    for (const statement of body) {
      const jump = this.#statement(statement, scope)
      if (jump) return jump
    }
  }

  /** What the body writes, instead of writing it. */
  #capture(body: readonly Stmt[], scope: Scope): string {
    return this.#captured(() => this.#run(body, scope))
  }

  #statement(node: Stmt, scope: Scope): Jump {
    switch (node.type) {
      case 'data':
        this.#text += node.text
        return
      case 'print': {
        const value = this.evaluate(node.value, scope)
        this.provenance.used(value)
        this.#text += str(value)
        return
      }
      case 'if': {
        const branch = node.branches.find(({ test }) => this.test(test, scope))
        return this.#run(branch?.body ?? node.otherwise, scope)
      }
      case 'for':
        return this.#for(node, scope)
      case 'set': {
        const [value, reads] = this.provenance.apart(() => this.evaluate(node.value, scope))
        return this.#assign(node.target, value, this.provenance.kept(value, reads), scope)
      }
      case 'setBlock':
        return this.#setBlock(node, scope)
      case 'macro':
        return scope.set(node.name, this.#macro(node, scope)) as undefined
      case 'callBlock':
        return this.#callBlock(node, scope)
      case 'filterBlock':
        this.#text += str(this.#filtered(node.filters, this.#capture(node.body, new Scope(scope)), scope))
        return
      case 'with':
        return this.#with(node, scope)
      case 'generation':
        return this.#generation(node.body, scope)
      case 'mark':
        return this.#mark(node.begins)
      default:
        return node.type
    }
  }

  #generation(body: readonly Stmt[], scope: Scope): undefined {
    const start = this.#text.length
    if (this.#captures > 0) this.generationIsHidden = true
    this.#captures++
    const [, reads] = this.provenance.apart(() => this.#run(body, new Scope(scope)))
    this.provenance.add(reads)
    this.#captures--
    this.#span(start, reads)
  }

  #mark(begins: boolean): undefined {
    if (this.#captures > 0) this.generationIsHidden = true
    else if (begins) this.provenance.begin()
    if (begins) this.#began = this.#text.length
    else this.#span(this.#began, this.#captures > 0 ? nothing : this.provenance.end())
  }

  #span(start: number, reads: Reads): undefined {
    this.spans.push([start, this.#text.length])
    const by = messagesIn(reads)
    this.writers.push(by.length > 0 ? by : this.#goingOn())
  }

  /** What is the same for every message, as the end of a turn, belongs to the message before it, unless another was looked at since. */
  #goingOn(): number[] {
    const last = Number(this.provenance.last ?? -1)
    return this.writers.at(-1)?.includes(last) ? [last] : []
  }

  #setBlock({ target, filters, body }: Extract<Stmt, { type: 'setBlock' }>, scope: Scope): undefined {
    const [value, reads] = this.provenance.apart(() => {
      const text = this.#capture(body, new Scope(scope))
      return filters ? this.#filtered(filters, text, scope) : text
    })
    this.#assign(target, value, reads, scope)
  }

  /** Filters without an operand, put behind a text. */
  #filtered(filters: Expr, text: string, scope: Scope): Value {
    const behind = (expr: Expr): Expr =>
      expr.type === 'filter' ? { ...expr, of: expr.of ? behind(expr.of) : { type: 'const', value: text } } : expr
    return this.evaluate(behind(filters), scope)
  }

  #with({ values, body }: Extract<Stmt, { type: 'with' }>, scope: Scope): Jump {
    const inner = new Scope(scope)
    for (const [target, expr] of values) {
      const [value, reads] = this.provenance.apart(() => this.evaluate(expr, scope))
      this.#assign(target, value, this.provenance.kept(value, reads), inner)
    }
    return this.#run(body, inner)
  }

  #assign(target: Target, value: Value, reads: Reads, scope: Scope): undefined {
    if (target.type === 'name') scope.set(target.name, value, reads)
    else if (target.type === 'targets') {
      const items = iterate(value)
      if (items.length !== target.items.length) fail(`${items.length} values can't be given to ${target.items.length} names`)
      for (const [i, inner] of target.items.entries()) this.#assign(inner, items[i]!, reads, scope)
    } else {
      const of = scope.get(target.name)?.value
      if (!(of instanceof Namespace)) return fail(`a field is set of ${target.name}, which is no namespace`)
      if (target.field.startsWith('_')) fail(`a namespace can't hold ${target.field}`)
      of.fields.set(target.field, value)
      const known = this.fieldReads.get(of) ?? new Map<string, Reads>()
      this.fieldReads.set(of, known.set(target.field, reads))
    }
  }

  #for(node: Extract<Stmt, { type: 'for' }>, scope: Scope): undefined {
    const [items, reads] = this.provenance.apart(() => this.#items(this.evaluate(node.items, scope)))
    this.#turns(node, items, reads, scope, 0)
  }

  #items(of: Value): readonly Value[] {
    const items = iterate(of)
    for (const [i, item] of items.entries()) this.provenance.took(of, BigInt(i), item)
    return items
  }

  #turns(node: Extract<Stmt, { type: 'for' }>, all: readonly Value[], reads: Reads, scope: Scope, depth: number): void {
    const bind = (item: Value) => {
      const inner = new Scope(scope)
      this.#assign(node.target, item, this.provenance.kept(item, reads), inner)
      return inner
    }
    const items = node.where ? all.filter((item) => this.test(node.where!, bind(item))) : all
    const recurse = new Callable('loop', ({ positional: [of] }) => {
      if (!node.recursive) return fail('loop() is called in a loop that is not recursive')
      return this.#captured(() => this.#turns(node, this.#items(of!), reads, scope, depth + 1))
    })
    const changed: { last?: Value[] } = {}
    for (const [i, item] of items.entries()) {
      const inner = bind(item)
      inner.set('loop', loopOf(items, i, depth, recurse, changed))
      if (this.#run(node.body, inner) === 'break') return
    }
    if (items.length === 0) this.#run(node.otherwise, new Scope(scope))
  }

  #captured(run: () => void): string {
    const outer = this.#text
    this.#text = ''
    this.#captures++
    try {
      run()
      return this.#text
    } finally {
      this.#text = outer
      this.#captures--
    }
  }

  #macro({ name, parameters, body }: MacroNode, scope: Scope): Callable {
    const run = (args: CallArgs, reads: Map<Value, Reads>): string => {
      const inner = new Scope(scope)
      const set = (key: string, value: Value) => inner.set(key, value, reads.get(value) ?? nothing)
      const named = new Map(args.named)
      for (const [i, parameter] of parameters.entries()) {
        const given = i < args.positional.length ? args.positional[i] : named.get(parameter.name)
        if (i < args.positional.length && named.has(parameter.name)) fail(`${name} is given ${parameter.name} twice`)
        named.delete(parameter.name)
        const fallback = () => (parameter.value ? this.evaluate(parameter.value, inner) : new Undefined(parameter.name))
        set(parameter.name, given === undefined ? fallback() : given)
      }
      if (named.has('caller') || !scope.get('caller')) inner.set('caller', named.get('caller') ?? new Undefined('caller'))
      named.delete('caller')
      const rest = args.positional.slice(parameters.length)
      if (rest.length > 0 && !mentions(body, 'varargs'))
        fail(`${name} takes ${parameters.length} arguments, it is given ${args.positional.length}`)
      if (named.size > 0 && !mentions(body, 'kwargs')) fail(`${name} has no argument ${[...named.keys()][0]}`)
      inner.set('varargs', new Tuple(rest))
      inner.set('kwargs', new Dict(named))
      return this.#capture(body, inner)
    }
    const callable = new Callable(name, (args) => run(args, new Map()), new Map([['name', name as Value]]))
    this.macros.set(callable, run)
    return callable
  }

  #callBlock({ call, caller }: Extract<Stmt, { type: 'callBlock' }>, scope: Scope): undefined {
    if (call.type !== 'call') return fail('a call block needs a call')
    this.#text += str(this.call(call, scope, this.#macro(caller, scope)))
  }
}

/** a name stands anywhere in the statements */
const mentions = (body: unknown, name: string): boolean =>
  JSON.stringify(body, (_, value) => (typeof value === 'bigint' ? Number(value) : value)).includes(`"name":"${name}"`)

/** The `loop` of a turn. */
function loopOf(items: readonly Value[], i: number, depth: number, recurse: Callable, changed: { last?: Value[] }): Callable {
  const n = items.length
  const fields = new Map<string, Value>([
    ['index', BigInt(i + 1)],
    ['index0', BigInt(i)],
    ['revindex', BigInt(n - i)],
    ['revindex0', BigInt(n - i - 1)],
    ['first', i === 0],
    ['last', i === n - 1],
    ['length', BigInt(n)],
    ['depth', BigInt(depth + 1)],
    ['depth0', BigInt(depth)],
    ['previtem', i > 0 ? items[i - 1]! : new Undefined('the item before the first')],
    ['nextitem', i + 1 < n ? items[i + 1]! : new Undefined('the item after the last')],
    [
      'cycle',
      new Callable('cycle', ({ positional }) =>
        positional.length > 0 ? positional[i % positional.length]! : fail('cycle() needs values'),
      ),
    ],
    [
      'changed',
      new Callable('changed', ({ positional }) => {
        const same = changed.last !== undefined && equal(changed.last, positional)
        changed.last = positional
        return !same
      }),
    ],
  ])
  return new Callable('loop', recurse.call, fields)
}
