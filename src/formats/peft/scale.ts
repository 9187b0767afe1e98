/** Rank and scale of one module's adapter: PEFT lets both differ from module to module by pattern. */
import { SaqrError } from '../../error.ts'
import { show } from '../json.ts'
import type { AdapterConfig } from './config.ts'
import { pythonRegex } from './python-regex.ts'

type Patterns = Pick<AdapterConfig, 'r' | 'loraAlpha' | 'rankPattern' | 'alphaPattern' | 'useRslora'>

/** r of the module at `path`. */
export function rankOf(config: Patterns, path: string): number {
  return lookUp(config.rankPattern, path, 'rank_pattern') ?? config.r
}

/** lora_alpha of the module at `path` */
export function alphaOf(config: Patterns, path: string): number {
  return lookUp(config.alphaPattern, path, 'alpha_pattern') ?? config.loraAlpha
}

/** What lora_B · lora_A is multiplied with: alpha / r, or alpha / √r (rsLoRA, Kalajdzievski 2023). */
export function loraScale(config: Patterns, path: string): number {
  const r = rankOf(config, path)
  return alphaOf(config, path) / (config.useRslora ? Math.sqrt(r) : r)
}

/** The first key, a regular expression, that matches the path from its start or from a dot on, to its end. */
function lookUp(patterns: Record<string, number>, path: string, field: string): number | undefined {
  return Object.entries(patterns).find(([key]) => isMeant(key, path, field))?.[1]
}

/** does a key of rank_pattern or alpha_pattern mean this module? */
export function isMeant(key: string, path: string, field: string): boolean {
  return compile(key, field).test(path)
}

/** A repeated group that repeats something itself: it may take longer than anyone waits to find that it does not match. */
const explosive = /\([^()]*[*+{][^()]*\)[*+{]/

function compile(key: string, field: string): RegExp {
  if (key.length > 500 || explosive.test(key))
    throw new SaqrError('FORMAT_ADAPTER', `${field} has the key ${show(key)}, which is too involved. Give module names.`)
  const { source } = pythonRegex(key, { field: `the key of ${field}`, code: 'FORMAT_ADAPTER', inside: true })
  return new RegExp(`^(.*\\.)?(${source})$`, 's')
}
