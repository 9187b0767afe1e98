/** Expressions to values. */
import type { Args, Expr } from './ast.ts'
import { contextOf, type FilterContext } from './filters.ts'
import { method } from './methods.ts'
import { binary, contains, item, missing, slice, unary } from './operators.ts'
import type { Provenance } from './provenance.ts'
import type { Reads, Scope } from './scope.ts'
import { tests } from './tests.ts'
import { str } from './text.ts'
import {
  type CallArgs,
  Callable,
  compare,
  Dict,
  defined,
  described,
  equal,
  fail,
  iterate,
  Markup,
  Namespace,
  Tuple,
  truth,
  Undefined,
  type Value,
} from './values.ts'

/** A macro: what its arguments are made of goes with them. */
export type Macro = (args: CallArgs, reads: Map<Value, Reads>) => Value

/** filters that give out the items they are given */
const passing = new Set(
  'attr batch count d default first groupby last length list map max min reject rejectattr reverse select selectattr slice sort unique'.split(
    ' ',
  ),
)

/** attributes of every value in Python, of an undefined one too: templates may not use them */
const ofAnything = new Set(
  '__class__ __dir__ __doc__ __eq__ __format__ __hash__ __init__ __module__ __ne__ __new__ __reduce__ __repr__ __sizeof__ __str__'.split(
    ' ',
  ),
)

export class Evaluator {
  readonly provenance: Provenance
  protected readonly macros = new WeakMap<Callable, Macro>()
  /** what the fields of namespaces are made of */
  protected readonly fieldReads = new WeakMap<Namespace, Map<string, Reads>>()
  readonly #context: FilterContext

  constructor(provenance: Provenance) {
    this.provenance = provenance
    this.#context = contextOf((of, key) => this.item(of, key), tests)
  }

  evaluate(expr: Expr, scope: Scope): Value {
    const of = (inner: Expr) => this.evaluate(inner, scope)
    switch (expr.type) {
      case 'const':
        return expr.value
      case 'name':
        return this.#name(expr.name, scope)
      case 'list':
        return expr.items.map(of)
      case 'tuple':
        return new Tuple(expr.items.map(of))
      case 'dict':
        return new Dict(expr.items.map(([key, value]) => [of(key), of(value)]))
      case 'attribute':
        return this.attribute(of(expr.of), expr.name)
      case 'item':
        return this.item(of(expr.of), of(expr.key))
      case 'slice':
        return slice(of(expr.of), expr.start && of(expr.start), expr.stop && of(expr.stop), expr.step && of(expr.step))
      case 'call':
        return this.call(expr, scope)
      case 'filter':
        return this.filter(expr.name, of(expr.of!), this.#args(expr.args, scope))
      case 'test':
        return this.#silently(() => this.#context.test(expr.name, of(expr.of), this.#args(expr.args, scope)))
      case 'unary':
        return expr.operator === 'not' ? !truth(of(expr.of)) : unary(expr.operator, of(expr.of))
      case 'binary':
        return this.#binary(expr.operator, of(expr.left), of(expr.right))
      case 'compare':
        return this.#silently(() => this.#compare(of(expr.first), expr.rest, of))
      case 'concat':
        return expr.items.map((part) => str(this.#used(of(part)))).join('')
      case 'logic': {
        const left = of(expr.left)
        return truth(left) === (expr.operator === 'or') ? left : of(expr.right)
      }
      case 'choice':
        if (this.test(expr.test, scope)) return of(expr.yes)
        return expr.no ? of(expr.no) : new Undefined('the result of an if without else')
    }
  }

  /** The truth of a condition. */
  test(expr: Expr, scope: Scope): boolean {
    return this.#silently(() => truth(this.evaluate(expr, scope)))
  }

  filter(name: string, of: Value, args: CallArgs): Value {
    for (const value of [of, ...args.positional, ...args.named.values()]) this.provenance.used(value, passing.has(name))
    return this.#context.filter(name, of, args)
  }

  #silently<T>(evaluate: () => T): T {
    return this.provenance.apart(evaluate)[0]
  }

  #used(value: Value): Value {
    this.provenance.used(value)
    return value
  }

  /** Lists put together hold what they held; a text made of values is new. */
  #binary(operator: string, left: Value, right: Value): Value {
    return operator === '%' ? binary(operator, left, this.#used(right)) : binary(operator, left, right)
  }

  #name(name: string, scope: Scope): Value {
    const bound = scope.get(name)
    if (!bound) return new Undefined(name)
    this.provenance.add(bound.reads)
    return bound.value
  }

  /** `of.name`: an attribute or method goes before an item. */
  attribute(of: Value, name: string): Value {
    if (!ofAnything.has(name)) defined(of)
    if (name.startsWith('__') && !(of instanceof Dict && of.get(name) !== undefined && !/__$/.test(name)))
      return new Undefined(`${name} (templates may not use it)`)
    if (of instanceof Markup) {
      const has = /^(escape|striptags|unescape)$/.test(name) || this.#own(of.text, name) !== undefined
      return has ? fail('an escaped or safe text is only printed: more is not supported') : new Undefined(missing(of, name))
    }
    const found = this.#own(of, name)
    if (found !== undefined) return found
    const value = of instanceof Dict ? of.get(name) : undefined
    this.provenance.took(of, name, value)
    return value ?? new Undefined(missing(of, name))
  }

  /** `of[key]`: an item goes before an attribute. */
  item(of: Value, key: Value): Value {
    const value = item(of, key, (from, name) => this.#own(from, name))
    this.provenance.took(of, key, value instanceof Undefined ? undefined : value)
    return value
  }

  #own(of: Value, name: string): Value | undefined {
    defined(of)
    if (of instanceof Namespace) {
      this.provenance.add(this.fieldReads.get(of)?.get(name) ?? [])
      return of.fields.get(name)
    }
    if (of instanceof Callable) return of.fields?.get(name)
    if (of instanceof Tuple && of.names?.includes(name)) return of.items[of.names.indexOf(name)]
    return method(of, name, (from, key, isKey) => (isKey ? this.item(from, key) : this.attribute(from, str(key))))
  }

  #compare(first: Value, rest: readonly [string, Expr][], of: (expr: Expr) => Value): boolean {
    let left = first
    for (const [operator, expr] of rest) {
      const right = of(expr)
      if (!holds(operator, left, right)) return false
      left = right
    }
    return true
  }

  call({ callee: expr, args }: Extract<Expr, { type: 'call' }>, scope: Scope, caller?: Callable): Value {
    const self = expr.type === 'attribute' || expr.type === 'item' ? this.evaluate(expr.of, scope) : undefined
    const callee = this.#callee(self, expr, scope)
    if (callee instanceof Undefined) return fail(`${callee.what} is undefined`)
    if (!(callee instanceof Callable)) return fail(`${described(callee)} can't be called`)
    const macro = this.macros.get(callee)
    if (macro) {
      const reads = new Map<Value, Reads>()
      return macro(withCaller(this.#args(args, scope, reads), caller), reads)
    }
    const given = withCaller(this.#args(args, scope), caller)
    // a namespace or a mapping holds what it is given; other functions make something new of it
    if (callee.name !== 'namespace' && callee.name !== 'dict')
      for (const value of [...given.positional, ...given.named.values()]) this.provenance.used(value)
    if (self !== undefined) this.#calledOn(self, callee, given)
    return callee.call(given)
  }

  #callee(self: Value | undefined, expr: Expr, scope: Scope): Value {
    if (self !== undefined && expr.type === 'attribute') return this.attribute(self, expr.name)
    if (self !== undefined && expr.type === 'item') return this.item(self, this.evaluate(expr.key, scope))
    return this.evaluate(expr, scope)
  }

  /** What a method took of the value it belongs to. */
  #calledOn(self: Value, callee: Callable, { positional: [key] }: CallArgs): void {
    if (self instanceof Dict && callee.name === 'get' && key !== undefined) this.provenance.took(self, key, self.get(key))
    else this.provenance.used(self)
  }

  /** With `reads`, what each argument is made of is told apart, and not part of what surrounds the call. */
  #args(args: Args, scope: Scope, reads?: Map<Value, Reads>): CallArgs {
    const one = (expr: Expr): Value => {
      if (!reads) return this.evaluate(expr, scope)
      const [value, made] = this.provenance.apart(() => this.evaluate(expr, scope))
      const kept = this.provenance.kept(value, made)
      reads.set(value, new Set([...(reads.get(value) ?? []), ...kept]))
      return value
    }
    const positional = args.positional.map(one)
    if (args.list) positional.push(...iterate(defined(one(args.list))))
    const named = new Map(args.named.map(([name, expr]) => [name, one(expr)]))
    if (args.mapping) {
      const more = one(args.mapping)
      if (!(more instanceof Dict)) return fail(`${described(defined(more))} is given for named arguments`)
      for (const [name, value] of more.entries()) named.set(str(name), value)
    }
    return { positional, named }
  }
}

function withCaller(args: CallArgs, caller: Callable | undefined): CallArgs {
  return caller ? { positional: args.positional, named: new Map([...args.named, ['caller', caller]]) } : args
}

function holds(operator: string, a: Value, b: Value): boolean {
  switch (operator) {
    case '==':
      return equal(a, b)
    case '!=':
      return !equal(a, b)
    case 'in':
      return contains(b, a)
    case 'not in':
      return !contains(b, a)
    case '<':
      return compare(a, b) < 0
    case '<=':
      return compare(a, b) <= 0
    case '>':
      return compare(a, b) > 0
    default:
      return compare(a, b) >= 0
  }
}
