/**
 * The Jinja interpreter has JavaScript's idea of text where templates mean Python's: `strip('\n')` ignores its argument, `true` prints as
 * true, a string takes a boolean behind it, what a turn of a loop sets is there in the next one. These places are rewritten in the parsed
 * template, most to calls of functions defined here; what has no plain meaning (printing a list or a mapping) is an error, not another text.
 */
import { Environment } from '@huggingface/jinja'
import { SaqrError } from '../error.ts'

type Value = ReturnType<Environment['set']>
interface Node {
  type: string
  [key: string]: unknown
}

const strips = ['strip', 'lstrip', 'rstrip']

/** A copy of the program with Python's text operations. */
export function withPythonSemantics<T>(program: T): T {
  return rewrite(program) as T
}

function rewrite(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(rewrite)
  if (value instanceof Map) return new Map([...value].map(([key, item]) => [rewrite(key), rewrite(item)]))
  if (typeof value !== 'object' || value === null) return value
  const parts = Object.entries(value).map(([key, item]) => [key, blocks.has(key) ? block(item as Node[]) : rewrite(item)])
  const node = Object.fromEntries(parts) as Node
  if (node.type === 'For') refuseLostOutput(node.body)
  if (node.type === 'BinaryExpression' && isText(node.operator, '~', '+')) {
    return call((node.operator as Node).value === '~' ? 'concat' : 'add', node.left, node.right)
  }
  if (node.type === 'FilterExpression') {
    const { name, args } = calledFilter(node.filter as Node)
    if (name === 'trim') return call('trim', node.operand, ...args)
    if (name === 'string') return call('str', node.operand)
  }
  const callee = node.callee as Node | undefined
  if (node.type === 'CallExpression' && callee?.type === 'MemberExpression' && !callee.computed && isText(callee.property, ...strips)) {
    return call(String((callee.property as Node).value), callee.object, ...(node.args as unknown[]))
  }
  return node
}

/** keys that hold statements; an expression among them is printed */
const blocks = new Set(['body', 'alternate', 'defaultBlock'])
const statements = new Set([
  'Program',
  'If',
  'For',
  'Set',
  'Macro',
  'CallStatement',
  'FilterStatement',
  'Comment',
  'Break',
  'Continue',
  'StringLiteral',
])

function block(nodes: Node[]): Node[] {
  return nodes.flatMap((node) => {
    const rewritten = rewrite(node) as Node
    if (node.type === 'For') return freshTurns(rewritten)
    return [statements.has(node.type) ? rewritten : call('print', rewritten)]
  })
}

/** What a turn of a loop sets is gone in the next turn: each begins with the values from outside. */
function freshTurns(loop: Node): Node[] {
  const body = loop.body as Node[]
  const own = targets(loop.loopvar as Node)
  const names = [...new Set(assigned(body))].filter((name) => !own.includes(name))
  const set = (name: string, value: string) => ({ type: 'Set', assignee: identifier(name), value: identifier(value), body: [] })
  const outside = (name: string) => `${prefix}outside_${name}`
  return [...names.map((name) => set(outside(name), name)), { ...loop, body: [...names.map((name) => set(name, outside(name))), ...body] }]
}

function assigned(nodes: Node[]): string[] {
  return nodes.flatMap((node) => {
    if (node.type === 'Set') return targets(node.assignee as Node).filter((name) => !name.startsWith(prefix))
    return node.type === 'If' ? assigned([...(node.body as Node[]), ...(node.alternate as Node[])]) : []
  })
}

/** names that an assignment or a loop gives values to */
const targets = (to: Node): string[] =>
  (to.type === 'TupleLiteral' ? (to.value as Node[]) : [to]).filter((n) => n.type === 'Identifier').map((n) => String(n.value))

const identifier = (value: string): Node => ({ type: 'Identifier', value })

const isText = (node: unknown, ...texts: string[]) => texts.includes((node as { value: string }).value)

const calledFilter = (filter: Node) =>
  filter.type === 'CallExpression'
    ? { name: (filter.callee as Node).value, args: filter.args as unknown[] }
    : { name: filter.value, args: [] }

const prefix = 'saqr_'

const call = (name: string, ...args: unknown[]): Node => ({
  type: 'CallExpression',
  callee: { type: 'Identifier', value: prefix + name },
  args,
})

/** The interpreter forgets what a turn of a loop has printed when it meets `continue` or `break`. */
function refuseLostOutput(body: unknown): void {
  let printed = false
  const visit = (node: Node): void => {
    if (node.type === 'CallExpression' && isText(node.callee, `${prefix}print`)) printed = true
    if ((node.type === 'Break' || node.type === 'Continue') && printed) {
      throw new SaqrError(
        'TEXT_TEMPLATE_INVALID',
        `The chat template prints before ${node.type.toLowerCase()} in a loop, which is not supported. Give another one (chatTemplate).`,
      )
    }
    for (const key of blocks) for (const inner of (node[key] ?? []) as Node[]) visit(inner)
  }
  for (const node of body as Node[]) visit(node)
}

/** Defines what `withPythonSemantics` calls. */
export function definePythonFunctions(environment: Environment): void {
  const empty = new Environment().set('text', '')
  const text = (value: string) => like(empty, value)
  const functions: Record<string, (...args: Value[]) => Value> = {
    print: (x) => (x.type === 'StringValue' || x.type === 'UndefinedValue' ? x : text(str(x))),
    str: (x) => text(str(x)),
    concat: (a, b) => text(str(a) + str(b)),
    add,
    trim: (x, chars) => text(strip(str(x), chars, true, true)),
    strip: (x, chars) => text(strip(own(x), chars, true, true)),
    lstrip: (x, chars) => text(strip(own(x), chars, true, false)),
    rstrip: (x, chars) => text(strip(own(x), chars, false, true)),
  }
  for (const [name, f] of Object.entries(functions)) {
    // a function handed to `set` is given bare values, without the types they had: put ours in its place
    const value = environment.set(prefix + name, () => null)
    value.value = ((args: Value[]) => f(...args.filter((x) => x.type !== 'KeywordArgumentsValue'))) as never
  }
}

/** A value of the same class, which the interpreter does not export. */
const like = (sample: Value, value: unknown): Value => new (sample.constructor as new (value: unknown) => Value)(value)

function add(a: Value, b: Value): Value {
  const types = [a.type, b.type]
  const all = (...wanted: string[]) => types.every((type) => wanted.includes(type))
  if (all('ArrayValue')) return like(a, [...(a.value as Value[]), ...(b.value as Value[])])
  if (!all('StringValue') && !all('IntegerValue', 'FloatValue')) throw new Error(`it can't add ${pythonName(b)} to ${pythonName(a)}`)
  return like(b.type === 'FloatValue' ? b : a, (a.value as never) + (b.value as never))
}

function own(x: Value): string {
  if (x.type !== 'StringValue') throw new Error(`${pythonName(x)} can't be stripped`)
  return x.value as string
}

/** Python's str() */
function str(x: Value): string {
  switch (x.type) {
    case 'StringValue':
      return x.value as string
    case 'UndefinedValue':
      return ''
    case 'NullValue':
      return 'None'
    case 'BooleanValue':
      return x.value ? 'True' : 'False'
    case 'IntegerValue':
      return String(x.value)
    case 'FloatValue':
      return Number.isInteger(x.value) ? `${x.value}.0` : String(x.value)
    default:
      throw new Error(`the template prints ${pythonName(x)}`)
  }
}

function pythonName({ type }: Value): string {
  const names: Record<string, string> = {
    ArrayValue: 'a list',
    TupleValue: 'a tuple',
    ObjectValue: 'a mapping',
    NullValue: 'None',
    UndefinedValue: 'an undefined value',
  }
  return names[type] ?? `a ${type.replace('Value', '').toLowerCase()}`
}

/** what Python's str.strip takes for white space, and JavaScript's trim does not */
const more = new Set(['\x1c', '\x1d', '\x1e', '\x1f', '\x85'])
const isSpace = (c: string) => more.has(c) || (c !== '\uFEFF' && /\s/.test(c))

function strip(text: string, chars: Value | undefined, left: boolean, right: boolean): string {
  const set = chars?.type === 'StringValue' ? new Set(chars.value as string) : undefined
  const strippable = (c: string) => (set ? set.has(c) : isSpace(c))
  const characters = [...text]
  let from = 0
  let to = characters.length
  if (left) while (from < to && strippable(characters[from]!)) from++
  if (right) while (to > from && strippable(characters[to - 1]!)) to--
  return characters.slice(from, to).join('')
}
