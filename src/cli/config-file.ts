/** `--config run.yaml`: a YAML mapping of TRL's names to values, which stand behind those of the command line. */
import { readFileSync } from 'node:fs'
import { LineCounter, parseDocument } from 'yaml'
import { SaqrError } from '../error.ts'
import { fileError } from '../hub/files.ts'
import type { Fields } from '../train/options/field.ts'
import { type Given, refuseTwoNames, unknownOption } from '../train/options/resolve.ts'
import { fromText, kindsOf } from './text.ts'

export interface ConfigFile {
  given: Given[]
  /** TRL's `env`: variables for this process (HF_HOME, HF_TOKEN …) */
  env: Record<string, string>
}

/** @throws SaqrError OPTION_CONFIG (not readable, not YAML, not a mapping) or OPTION_UNKNOWN */
export function readConfig(path: string, fields: Fields, renamed: Readonly<Record<string, string>> = {}): ConfigFile {
  const values = { ...parse(path) }
  const env = environment(path, values.env)
  delete values.env
  const given: Given[] = []
  for (const [key, value] of Object.entries(values)) {
    const written = key.replaceAll('-', '_')
    const old = Object.hasOwn(renamed, written)
    const name = old ? renamed[written]! : written
    const said = `${key} in ${path}`
    if (!Object.hasOwn(fields, name)) throw unknownOption({ name: written, said, value }, Object.keys(fields))
    const kinds = kindsOf(fields[name]!.schema)
    const empty = value === null && !kinds.nullable
    if (!empty) given.push({ name, said, old, value: typeof value === 'string' ? fromText(kinds, value) : value })
  }
  refuseTwoNames(given)
  return { given, env }
}

function parse(path: string): Record<string, unknown> {
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (cause) {
    throw new SaqrError('OPTION_CONFIG', `--config: ${fileError(cause, path, 'read').message}`, { cause })
  }
  const lines = new LineCounter()
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false })
  const error = document.errors[0]
  if (error) {
    const { line, col } = lines.linePos(error.pos[0])
    throw new SaqrError('OPTION_CONFIG', `${path}:${line}:${col}: ${error.message}`)
  }
  const values: unknown = document.toJS()
  if (values === null) return {}
  if (typeof values !== 'object' || Array.isArray(values))
    throw new SaqrError('OPTION_CONFIG', `${path}: expected a mapping of option names to values`)
  return values as Record<string, unknown>
}

function environment(path: string, env: unknown): Record<string, string> {
  if (env === undefined || env === null) return {}
  if (typeof env !== 'object' || Array.isArray(env))
    throw new SaqrError('OPTION_CONFIG', `${path}: env must be a mapping of variable names to values`)
  return Object.fromEntries(Object.entries(env).map(([key, value]) => [key, String(value)]))
}
