/**
 * Tokens whose rows of the embedding (and of a head that reads it), or of a head of its own, are trained by themselves, the rest staying as it
 * is: PEFT's trainable_token_indices. What is trained are the rows themselves, which begin as the base's; PEFT calls them a delta.
 */
import type { AdapterConfig } from '../formats/peft/config.ts'
import type { Tensor } from '../ops/tensor.ts'
import { tokenColumns, tokenRows } from '../ops/token-rows/op.ts'
import type { AdapterBuilder, ParameterSpec } from './adapter.ts'
import type { BaseOptions } from './base.ts'

/** behind a module's path: the rows in PEFT's files */
export const TOKEN_ROWS = 'token_adapter.trainable_tokens_delta'

export interface TokenRows {
  /** the module that has them */
  path: string
  /** in the order of its rows */
  tokens: readonly number[]
}

type Configured = Pick<AdapterConfig, 'trainableTokenIndices'>
type Head = Pick<BaseOptions, 'head' | 'tiedTo'>

/** Of the embedding or the head at `path`. A head that reads the embedding goes with it, unless other tokens are named for it. */
export function tokenRowsOf({ trainableTokenIndices: given }: Configured, path: string, { head, tiedTo }: Head): TokenRows | null {
  if (given === null) return null
  const own = (at: string): TokenRows | null => {
    const tokens = Array.isArray(given) ? (at === head ? undefined : given) : entryFor(given, at)
    return tokens ? { path: at, tokens } : null
  }
  const named = own(path)
  const shared = path === head && tiedTo !== undefined ? own(tiedTo) : null
  return shared && (named === null || String(named.tokens) === String(shared.tokens)) ? shared : named
}

/** by its last names, each of them whole */
const names = (module: string, path: string) => path === module || path.endsWith(`.${module}`)

function entryFor(given: Readonly<Record<string, readonly number[]>>, path: string): readonly number[] | undefined {
  return Object.entries(given).find(([module]) => names(module, path))?.[1]
}

/** The trained rows, and which they are. */
function trained(b: AdapterBuilder, { path, tokens }: TokenRows, cols: number, weight: string): { rows: Tensor; list: Tensor } {
  const init = { kind: 'rows', name: weight, rows: tokens } as const
  const spec: ParameterSpec = { name: `${path}.${TOKEN_ROWS}`, rows: tokens.length, cols, role: 'embedding', init }
  return { rows: b.parameter(spec), list: b.constant(`tokens ${tokens.join(' ')}`, tokens) }
}

/** x (T, C), read of the embedding at `at.path`, with these tokens' own rows */
export function withTokenRows(b: AdapterBuilder, x: Tensor, ids: Tensor, at: TokenRows, padding?: number): Tensor {
  const { rows, list } = trained(b, at, x.cols, `${at.path}.weight`)
  return tokenRows(b, x, ids, list, rows, { padding }, at.path)
}

/** logits (n, V), made of h by the frozen `weight` of the head, with these tokens' own columns: `times` is a product of h with rows */
export function withTokenColumns(
  b: AdapterBuilder,
  logits: Tensor,
  at: TokenRows,
  { cols, weight, times }: { cols: number; weight: string; times: (rows: Tensor) => Tensor },
): Tensor {
  const { rows, list } = trained(b, at, cols, weight)
  return tokenColumns(b, logits, list, times(rows), at.path)
}

/** w, rows `from` … of a weight (·, cols), with these tokens' own rows written into it */
export function writeTokenRows(w: Float32Array, { tokens }: TokenRows, rows: Float32Array, cols: number, from = 0): Float32Array {
  for (const [i, token] of tokens.entries()) {
    const at = (token - from) * cols
    if (at >= 0 && at < w.length) w.set(rows.subarray(i * cols, (i + 1) * cols), at)
  }
  return w
}

/** What of the base a check is made against. */
export interface TokenModules extends Head {
  /** path of the embedding */
  embedding: string
  vocab: number
}

/**
 * Why these tokens can't be trained, as PEFT can't either, null where they can. PEFT trains rows of a token that is named twice apart from one
 * another, and of them keeps the last.
 * @param other what else the adapter makes of a module: adapted (low rank), or trained whole
 */
export function tokenRowsProblem(
  config: Configured & Pick<AdapterConfig, 'ensureWeightTying'>,
  { embedding, vocab, ...head }: TokenModules,
  other: { isAdapted(path: string): boolean; isWhole(path: string): boolean },
): string | null {
  const given = config.trainableTokenIndices
  if (given === null) return null
  const paths = [embedding, head.head]
  for (const path of Array.isArray(given) ? [] : paths) {
    const keys = Object.keys(given).filter((module) => names(module, path))
    if (keys.length > 1) return `${keys.join(' and ')} both name ${path}: give its tokens in one list`
  }
  for (const [module, tokens] of Object.entries(Array.isArray(given) ? { [embedding]: given } : given)) {
    if (!paths.some((path) => names(module, path))) return `${module} is neither embedding nor head (${paths.join(', ')})`
    if (tokens.length === 0) return `none is named for ${module}`
    const twice = tokens.find((token, i) => tokens.indexOf(token) !== i)
    if (twice !== undefined) return `token ${twice} is named twice for ${module}`
    const outside = tokens.find((token) => token >= vocab)
    if (outside !== undefined) return `token ${outside} is none: ${module} has ${vocab} rows, from 0 to ${vocab - 1}`
  }
  const [ofEmbedding, ofHead] = paths.map((path) => tokenRowsOf(config, path, head))
  const apart = ofEmbedding && ofHead && ofHead.path === head.head
  if (config.ensureWeightTying && head.tiedTo !== undefined && apart)
    return 'ensure_weight_tying makes head and embedding one, and other tokens are named for each'
  for (const [i, path] of paths.entries()) {
    const own = [ofEmbedding, ofHead][i]
    if (!own) continue
    if (other.isWhole(path)) return `${path} is trained whole (modules_to_save)`
    // the low-rank part of a head lies over rows that it shares with the embedding, over its own PEFT has no place for it
    if (own.path === path && other.isAdapted(path)) return `${path} has a low-rank part (target_modules)`
  }
  return null
}
