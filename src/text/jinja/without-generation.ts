/**
 * A chat template for those who answer with it. transformers' `{% generation %}` blocks say what is trained; jinja2 itself, and most readers of GGUF
 * files, don't know the tag and load no template that has one (llama-cpp-python, text-generation-webui, TabbyAPI, minijinja). `{% if true %}` writes
 * the same text, takes white space as the tag did, and every reader has it.
 */
import { isDeepStrictEqual } from 'node:util'
import type { Stmt } from './ast.ts'
import { parse } from './parser.ts'

const TAG = /(\{%[-+]?\s*)(generation|endgeneration)(\s*[-+]?%\})/g

/** @returns the template as it was where it has no such block, or one that sets a variable: there a block is a scope of its own, and `if` is none */
export function withoutGeneration(source: string): string {
  const plain = source.replace(TAG, (_, begin, tag, end) => `${begin}${tag === 'generation' ? 'if true' : 'endif'}${end}`)
  if (plain === source) return source
  const mapped = withIfs(parse(source))
  // what looks like a tag may stand in a text or a comment: then it isn't the same template
  return mapped !== null && isDeepStrictEqual(mapped, parse(plain)) ? plain : source
}

/** null: a variable is set in a block */
function withIfs(template: Stmt[]): Stmt[] | null {
  const [always] = parse('{% if true %}{% endif %}') as [Extract<Stmt, { type: 'if' }>]
  let sets = false
  const walk = (value: unknown, inside: boolean): unknown => {
    if (Array.isArray(value)) return value.map((one) => walk(one, inside))
    if (typeof value !== 'object' || value === null) return value
    const { type } = value as Stmt
    if (inside && (type === 'set' || type === 'setBlock' || type === 'macro')) sets = true
    const copy = Object.fromEntries(Object.entries(value).map(([key, one]) => [key, walk(one, inside || type === 'generation')]))
    return type === 'generation' ? { ...always, branches: [{ ...always.branches[0], body: copy.body }] } : copy
  }
  const mapped = walk(template, false) as Stmt[]
  return sets ? null : mapped
}
