/**
 * A chat template for those who answer with it. transformers' `{% generation %}` blocks say what is trained; jinja2 itself, and most readers of GGUF
 * files, don't know the tag and load no template that has one (llama-cpp-python, text-generation-webui, TabbyAPI, minijinja). `{% if true %}` writes
 * the same text, takes white space as the tag did, and every reader has it.
 */
import { isDeepStrictEqual } from 'node:util'
import type { Stmt } from './ast.ts'
import { TemplateError } from './error.ts'
import { leaksOf } from './leaks.ts'
import { parse } from './parser.ts'

const TAG = /(\{%[-+]?\s*)(generation|endgeneration)(\s*[-+]?%\})/g

export interface WithoutGeneration {
  template: string
  /** why it has its blocks still; null: it has none */
  kept: string | null
}

/** @returns the template as it was where it has no such block, and where it can't be said without one */
export function withoutGeneration(source: string): WithoutGeneration {
  const plain = source.replace(TAG, (_, begin, tag, end) => `${begin}${tag === 'generation' ? 'if true' : 'endif'}${end}`)
  if (plain === source) return { template: source, kept: null }
  const as = (kept: string | null) => ({ template: source, kept })
  try {
    const was = parse(source)
    const { mapped, blocks } = withIfs(was)
    if (blocks === 0) return as(null)
    // what looks like a tag may stand in a text: then it isn't the same template
    if (!isDeepStrictEqual(mapped, parse(plain))) return as('it has {% generation %} in a text too')
    const leaks = leaksOf(was)
    // there a block is a scope of its own, and `if` is none
    return leaks.length > 0 ? as(`what they set is read after them (${leaks.join(', ')})`) : { template: plain, kept: null }
  } catch (error) {
    if (error instanceof TemplateError) return as(`saqr can’t read the template: ${error.message}`)
    throw error
  }
}

function withIfs(template: Stmt[]): { mapped: Stmt[]; blocks: number } {
  const [always] = parse('{% if true %}{% endif %}') as [Extract<Stmt, { type: 'if' }>]
  let blocks = 0
  const walk = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.map(walk)
    if (typeof value !== 'object' || value === null) return value
    const copy = Object.fromEntries(Object.entries(value).map(([key, one]) => [key, walk(one)]))
    if ((value as Stmt).type !== 'generation') return copy
    blocks++
    return { ...always, branches: [{ ...always.branches[0], body: copy.body }] }
  }
  return { mapped: walk(template) as Stmt[], blocks }
}
