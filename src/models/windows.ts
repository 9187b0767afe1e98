/** Which layers look back over a window only. */
import type { Config } from './config.ts'

/** as kernels count: a window longer than any row hides nothing */
const LONGEST = 2 ** 31 - 1

/** a window of the config; null: none, which is 0 */
export function windowOf(c: Config, fallback?: number): number {
  return c.json.sliding_window === null ? 0 : Math.min(c.count('sliding_window', fallback), LONGEST)
}

/** window of each layer, 0: none; `layer_types` of the config, or what `otherwise` says of a layer */
export function layerWindows(c: Config, window: number, otherwise: (layer: number) => boolean): number[] {
  const windows = windowsOf(c, window, otherwise)
  c.means('layer_types', windows)
  return windows
}

function windowsOf(c: Config, window: number, otherwise: (layer: number) => boolean): number[] {
  const layers = c.count('num_hidden_layers')
  const types = c.json.layer_types
  if (types === undefined || types === null) return Array.from({ length: layers }, (_, layer) => (otherwise(layer) ? window : 0))
  const known: Readonly<Record<string, number>> = { full_attention: 0, attention: 0, sliding_attention: window }
  if (!Array.isArray(types) || types.length !== layers || !types.every((t) => typeof t === 'string' && Object.hasOwn(known, t)))
    c.fail('layer_types', `must name full_attention or sliding_attention for each of ${layers} layers`)
  if (window === 0 && types.includes('sliding_attention'))
    c.fail('layer_types', 'names sliding_attention, but use_sliding_window and sliding_window give no window')
  return types.map((t) => known[t as string]!)
}

/** `sliding_window` where `use_sliding_window` says so; 0 where it doesn't, or there is none */
export function optionalWindow(c: Config, fallback?: number): number {
  const { sliding_window: size = fallback } = c.json
  return c.flag('use_sliding_window', false) && size !== null && size !== undefined ? windowOf(c, fallback) : 0
}

/** Qwen's rule: with use_sliding_window, layers from max_window_layers on have a window; `layer_types` says it outright. */
export function windowsFromLayer(c: Config): number[] {
  const first = c.count('max_window_layers', 28, 0)
  const windows = layerWindows(c, optionalWindow(c, 4096), (layer) => layer >= first)
  c.means('layer_types', windows, ['sliding_window', 'use_sliding_window', 'max_window_layers'])
  return windows
}
