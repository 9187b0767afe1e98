/** Go's template language as far as Modelfiles use it, by its own documentation: range, if, else if, else, variables, fields, eq, and, len, slice. */
import type { Message } from '../../src/text/chat-template.ts'

type Value = string | number | boolean | Value[] | { [name: string]: Value }
type Node =
  | string
  | { value: string }
  | { kind: 'if'; arms: { test: string | null; body: Node[] }[] }
  | { kind: 'range'; names: string[]; over: string; body: Node[] }

/** What Ollama's server makes of messages: neighbours of one role are one, system messages are also one text. */
export function ollama(template: string, messages: readonly Message[]): string {
  const collated: { Role: string; Content: string }[] = []
  for (const { role, content } of messages) {
    const last = collated.at(-1)
    if (last?.Role === role) last.Content += `\n\n${content}`
    else collated.push({ Role: role, Content: String(content) })
  }
  const said = messages.filter(({ role }) => role === 'system').map(({ content }) => String(content))
  const dot = { Messages: collated, System: said.join('\n\n'), Response: '' }
  return run(parse(template), dot, new Map([['$', dot]]))
}

function parse(template: string): Node[] {
  const parts = template.split(/\{\{(.*?)\}\}/s)
  let at = 0
  const body = (): Node[] => {
    const nodes: Node[] = []
    for (; at < parts.length; at++) {
      const part = parts[at]!
      if (at % 2 === 0) nodes.push(part)
      else {
        const action = part.trim()
        if (action === 'end' || action.startsWith('else')) return nodes
        at++
        if (action.startsWith('if ')) {
          const arms = [{ test: action.slice(3) as string | null, body: body() }]
          while (parts[at]!.trim().startsWith('else')) {
            const [, test = null] = /^else if (.*)$/.exec(parts[at]!.trim()) ?? []
            at++
            arms.push({ test, body: body() })
          }
          nodes.push({ kind: 'if', arms })
        } else if (action.startsWith('range ')) {
          const [, names = '', over] = /^range (?:(\$\w+, \$\w+) := )?(.*)$/.exec(action)!
          nodes.push({ kind: 'range', names: names.split(', ').filter(Boolean), over: over!, body: body() })
        } else {
          nodes.push({ value: action })
          at--
        }
      }
    }
    return nodes
  }
  const all = body()
  if (at < parts.length) throw new Error(`{{${parts[at]}}} closes nothing`)
  return all
}

const truth = (value: Value) => value !== '' && value !== 0 && value !== false && !(Array.isArray(value) && value.length === 0)

function run(nodes: readonly Node[], dot: Value, variables: Map<string, Value>): string {
  let text = ''
  for (const node of nodes) {
    if (typeof node === 'string') text += node
    else if ('value' in node) {
      const [, name, how, expression] = /^(\$\w+) (:?=) (.*)$/.exec(node.value) ?? []
      if (name !== undefined) {
        if (how === '=' && !variables.has(name)) throw new Error(`${name} is not declared`)
        variables.set(name, evaluate(expression!, dot, variables))
      } else text += String(evaluate(node.value, dot, variables))
    } else if (node.kind === 'if') {
      const arm = node.arms.find(({ test }) => test === null || truth(evaluate(test, dot, variables)))
      if (arm) text += run(arm.body, dot, variables)
    } else
      for (const [i, item] of (evaluate(node.over, dot, variables) as Value[]).entries()) {
        if (node.names[0]) variables.set(node.names[0], i).set(node.names[1]!, item)
        text += run(node.body, item, variables)
      }
  }
  return text
}

function evaluate(expression: string, dot: Value, variables: ReadonlyMap<string, Value>): Value {
  const tokens = expression.match(/"[^"]*"|[()]|[^\s()]+/g)!
  let at = 0
  const operand = (): Value => {
    const token = tokens[at++]!
    if (token === '(') {
      const value = call()
      at++
      return value
    }
    if (token.startsWith('"')) return token.slice(1, -1)
    if (/^\d+$/.test(token)) return Number(token)
    const [start, ...fields] = token.split('.')
    if (start !== '' && !variables.has(start!)) throw new Error(`${start} is not declared`)
    return fields.reduce((value: Value, field) => (value as Record<string, Value>)[field]!, start === '' ? dot : variables.get(start!)!)
  }
  const rest = () => {
    const values: Value[] = []
    while (at < tokens.length && tokens[at] !== ')') values.push(operand())
    return values
  }
  const call = (): Value => {
    const name = tokens[at]!
    if (!['eq', 'and', 'len', 'slice'].includes(name)) return operand()
    at++
    const values = rest()
    if (name === 'eq') return values[0] === values[1]
    if (name === 'and') return values.find((value) => !truth(value)) ?? values.at(-1)!
    if (name === 'len') return (values[0] as Value[]).length
    return (values[0] as Value[]).slice(values[1] as number)
  }
  return call()
}
