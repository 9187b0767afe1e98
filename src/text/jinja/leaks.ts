/**
 * What a template's `{% generation %}` blocks would leave behind were they no scopes of their own, as an `if` is none: the variables they set that something
 * reads later, within the scope around the block. Loops, macros, calls, filters, `with` and the bodies of `set` are scopes either way, and a namespace's field
 * is the same in every scope. (Scopes: jinja2's idtracking; a generation block is the body of a call block there.)
 */
import type { Expr, MacroNode, Stmt, Target } from './ast.ts'

/** @returns names, each once, of variables that are set in a block and may be read after it; empty: the blocks' scopes don't matter */
export function leaksOf(template: readonly Stmt[]): string[] {
  const first = new Flow(new Set())
  first.run(template, fresh())
  // a macro may be called wherever a block has been: there all may have leaked
  const flow = new Flow(first.leaked)
  flow.run(template, fresh())
  return [...flow.read]
}

/** of a scope, as far as it has come: what blocks left in it, and what it set itself */
interface State {
  leaked: Set<string>
  set: Set<string>
}

const fresh = (leaked: Iterable<string> = []): State => ({ leaked: new Set(leaked), set: new Set() })

class Flow {
  /** what blocks set */
  readonly leaked = new Set<string>()
  /** what of it is read after them */
  readonly read = new Set<string>()
  readonly #inMacros: ReadonlySet<string>

  constructor(inMacros: ReadonlySet<string>) {
    this.#inMacros = inMacros
  }

  run(body: readonly Stmt[], state: State): void {
    for (const statement of body) this.#statement(statement, state)
  }

  #statement(node: Stmt, state: State): undefined {
    switch (node.type) {
      case 'print':
        return this.#reads(node.value, state)
      case 'if':
        return this.#if(node, state)
      case 'for':
        return this.#for(node, state)
      case 'set':
        this.#reads(node.value, state)
        return this.#assign(node.target, state)
      case 'setBlock':
        this.run(node.body, fresh(state.leaked))
        this.#reads(node.filters, state)
        return this.#assign(node.target, state)
      case 'macro':
        this.#macro(node)
        return this.#assign(node, state)
      case 'callBlock':
        this.#reads(node.call, state)
        return this.#macro(node.caller)
      case 'filterBlock':
        this.run(node.body, fresh(state.leaked))
        return this.#reads(node.filters, state)
      case 'with':
        return this.#with(node, state)
      case 'generation':
        return this.#generation(node.body, state)
    }
  }

  #for({ target, items, where, body, otherwise }: Extract<Stmt, { type: 'for' }>, state: State): undefined {
    this.#reads(items, state)
    const turn = fresh(state.leaked)
    this.#assign(target, turn)
    this.#reads(where, turn)
    this.run(body, turn)
    this.run(otherwise, fresh(state.leaked))
  }

  #with({ values, body }: Extract<Stmt, { type: 'with' }>, state: State): undefined {
    const inner = fresh(state.leaked)
    for (const [, value] of values) this.#reads(value, state)
    for (const [target] of values) this.#assign(target, inner)
    this.run(body, inner)
  }

  #generation(body: readonly Stmt[], state: State): undefined {
    const inner = fresh(state.leaked)
    this.run(body, inner)
    for (const name of inner.set) {
      this.leaked.add(name)
      state.leaked.add(name)
      state.set.add(name) // and out of a block around this one
    }
  }

  /** What one branch leaves, another doesn't see. */
  #if({ branches, otherwise }: Extract<Stmt, { type: 'if' }>, state: State): undefined {
    for (const { test } of branches) this.#reads(test, state)
    const after = [...branches.map(({ body }) => body), otherwise].map((body) => {
      const branch = fresh(state.leaked)
      this.run(body, branch)
      return branch
    })
    state.leaked = new Set(after.flatMap(({ leaked }) => [...leaked]))
    for (const { set } of after) for (const name of set) state.set.add(name)
  }

  #macro({ parameters, body }: MacroNode): undefined {
    const inner = fresh(this.#inMacros)
    for (const { value } of parameters) this.#reads(value, inner)
    for (const { name } of parameters) inner.leaked.delete(name)
    this.run(body, inner)
  }

  /** What is set anew is what a reader finds, whatever a block left. */
  #assign(target: Target | MacroNode, state: State): undefined {
    if (target.type === 'targets') for (const item of target.items) this.#assign(item, state)
    else if (target.type === 'field') this.#name(target.name, state)
    else {
      state.leaked.delete(target.name)
      state.set.add(target.name)
    }
  }

  #reads(expr: Expr | null, state: State): undefined {
    const walk = (value: unknown): void => {
      if (typeof value !== 'object' || value === null) return
      const { type, name } = value as { type?: unknown; name?: unknown }
      if (type === 'name') this.#name(name as string, state)
      else for (const part of Object.values(value)) walk(part)
    }
    walk(expr)
  }

  #name(name: string, { leaked }: State): void {
    if (leaked.has(name)) this.read.add(name)
  }
}
