/** A model's tensors as a GGUF file has them: the layout's table, read the other way round. What reads them back is open.ts. */
import { SaqrError } from '../../error.ts'
import { type GgufLayout, TOP } from './layout.ts'

/** A tensor of the model with the values that are written. */
export interface Source {
  name: string
  shape: readonly number[]
  rows: number
  cols: number
  /** rows [from, from + count), f32; they hold until the next are read */
  read(from: number, count: number): Float32Array
}

/** what a layout doesn't say of this model */
export interface Sizes {
  /** query heads and key heads: the rows of their linears are permuted within each */
  heads: number
  kvHeads: number
  /** rows of a head's keys in a linear that is kept by heads, of its values */
  byHead?: readonly [keys: number, values: number]
  /** how files hold a tensor that isn't there by this name */
  pieces?(name: string): readonly (readonly string[])[]
}

/** @throws SaqrError EXPORT_TENSOR for one that the architecture has no name for */
export function placeTensors(sources: readonly Source[], layout: GgufLayout, sizes: Sizes): Source[] {
  return sources.flatMap((source) => {
    const placed = place(source, layout, sizes)
    if (placed.length > 0) return placed
    throw new SaqrError('EXPORT_TENSOR', `llama.cpp's architecture ${layout.architecture} has no tensor for ${source.name}`)
  })
}

function place(source: Source, layout: GgufLayout, sizes: Sizes): Source[] {
  const turned = turnedParts(source, layout)
  if (turned) return turned
  for (const pieces of sizes.pieces?.(source.name) ?? []) {
    const experts = ofExperts(source, pieces, layout)
    if (experts) return experts
    const [only, ...more] = pieces
    const name = only !== undefined && more.length === 0 ? ggufName(only, layout) : undefined
    if (name !== undefined) return [{ ...source, name }]
  }
  const heads = byHeads(source, layout, sizes)
  if (heads) return heads
  const name = ggufName(source.name, layout)
  if (name === undefined) return []
  const rotated = layout.rotatedRows?.find((part) => name.includes(`.${part}.`))
  if (rotated) return [rotate({ ...source, name }, rotated === 'attn_q' ? sizes.heads : sizes.kvHeads)]
  if (layout.normsPlusOne && source.name.endsWith('norm.weight'))
    return [{ ...source, name, read: (from, count) => source.read(from, count).map((x) => x + 1) }]
  return [{ ...source, name }]
}

const TOP_NAMES = Object.fromEntries(Object.entries(TOP).map(([gguf, name]) => [name, gguf]))

/** Of a tensor, or with a star of all experts': `model.layers.3.mlp.up_proj.weight` -> `blk.3.ffn_up.weight` */
function ggufName(name: string, { parts }: GgufLayout): string | undefined {
  if (Object.hasOwn(TOP_NAMES, name)) return TOP_NAMES[name]
  const [, layer, path] = /^model\.layers\.(\d+)\.(.+)$/.exec(name) ?? []
  if (path === undefined) return undefined
  const [, linear, kind] = /^(.+)\.(weight|bias)$/.exec(path) ?? []
  for (const [part, of] of Object.entries(parts)) {
    // a part with a kind is that tensor alone, and its path the whole name
    if (/\.(weight|bias)$/.test(part) ? of === path : of === linear)
      return `blk.${layer}.${/\.(weight|bias)$/.test(part) ? part : `${part}.${kind}`}`
  }
  return undefined
}

/** Matrices of all experts, several linears each, one below the other -> a tensor (E, rows, cols) for each linear. */
function ofExperts(source: Source, pieces: readonly string[], layout: GgufLayout): Source[] | undefined {
  const starred = pieces.map((piece) => piece.replace(/\.experts\.\d+\./, '.experts.*.'))
  const linears = [...new Set(starred)]
  const names = linears.map((linear) => ggufName(linear, layout))
  if (linears.length === pieces.length || names.some((name) => name === undefined)) return undefined
  const rows = source.rows / pieces.length
  const experts = pieces.length / linears.length
  return names.map((name, i): Source => {
    const read = (from: number, count: number) => {
      const out = new Float32Array(count * source.cols)
      for (let row = from; row < from + count; ) {
        const expert = Math.floor(row / rows)
        const end = Math.min(from + count, (expert + 1) * rows)
        out.set(source.read((expert * linears.length + i) * rows + row - expert * rows, end - row), (row - from) * source.cols)
        row = end
      }
      return out
    }
    return { name: name!, shape: [experts, rows, source.cols], rows: experts * rows, cols: source.cols, read }
  })
}

/** (E, in, out · parts), channels by turns -> (E, out, in) for each part; biases (E, out · parts) -> (E, out) */
function turnedParts(source: Source, { turned = {} }: GgufLayout): Source[] | undefined {
  const [, layer, path] = /^model\.layers\.(\d+)\.(.+)$/.exec(source.name) ?? []
  const isBias = path?.endsWith('_bias') ?? false
  const parts = path === undefined ? undefined : turned[path.replace(/_bias$/, '')]
  if (!parts) return undefined
  const experts = source.shape.length > (isBias ? 1 : 2) ? source.shape[0]! : 1
  const width = isBias ? 1 : source.rows / experts
  const out = source.cols / parts.length
  return parts.map((part, i): Source => {
    const name = `blk.${layer}.${part}.${isBias ? 'bias' : 'weight'}`
    const shape = isBias ? [experts, out] : [experts, out, width]
    let kept: { expert: number; values: Float32Array } | undefined
    const expertOf = (expert: number): Float32Array => {
      if (kept?.expert !== expert) kept = { expert, values: source.read(expert * width, width) }
      return kept.values
    }
    // a bias is a row an expert; of a matrix the channels that come out are rows
    const perExpert = isBias ? 1 : out
    const rows = experts * perExpert
    const cols = isBias ? out : width
    const read = (from: number, count: number) => {
      const to = new Float32Array(count * cols)
      for (let row = from; row < from + count; row++) {
        const own = expertOf(Math.floor(row / perExpert))
        const channel = row % perExpert
        for (let c = 0; c < cols; c++)
          to[(row - from) * cols + c] = isBias ? own[c * parts.length + i]! : own[c * source.cols + channel * parts.length + i]!
      }
      if (from + count === rows) kept = undefined
      return to
    }
    return { name, shape, rows, cols, read }
  })
}

/** (H · (K + V), C) -> keys (H, C, K) transposed, values (H, V, C) */
function byHeads(source: Source, { byHead = {} }: GgufLayout, { heads, byHead: sizes }: Sizes): Source[] | undefined {
  const [, layer, path] = /^model\.layers\.(\d+)\.(.+)\.weight$/.exec(source.name) ?? []
  const parts = path === undefined ? undefined : byHead[path]
  if (!parts || !sizes) return undefined
  const [keys, values] = sizes
  const { cols } = source
  const start = (head: number) => head * (keys + values)
  const perHead = (name: string, rows: number, width: number, ofHead: (head: number) => Float32Array): Source => ({
    name: `blk.${layer}.${name}.weight`,
    shape: [heads, rows, width],
    rows: heads * rows,
    cols: width,
    read(from, count) {
      const to = new Float32Array(count * width)
      for (let row = from; row < from + count; ) {
        const head = Math.floor(row / rows)
        const end = Math.min(from + count, (head + 1) * rows)
        to.set(ofHead(head).subarray((row - head * rows) * width, (end - head * rows) * width), (row - from) * width)
        row = end
      }
      return to
    },
  })
  const transposed = (head: number) => {
    const own = source.read(start(head), keys)
    return Float32Array.from({ length: own.length }, (_, i) => own[(i % keys) * cols + Math.floor(i / keys)]!)
  }
  return [perHead(parts[0], cols, keys, transposed), perHead(parts[1], values, cols, (head) => source.read(start(head) + keys, values))]
}

/** Rows of each head into the order (0, half, 1, half + 1 …) that llama.cpp's rotation of pairs wants; of a bias the elements of its row. */
function rotate(source: Source, heads: number): Source {
  const isBias = source.shape.length === 1
  const lines = (isBias ? source.cols : source.rows) / heads
  const half = lines / 2
  const from = (line: number) => line - (line % lines) + ((line % lines) >> 1) + (line & 1 ? half : 0)
  if (isBias)
    return {
      ...source,
      read() {
        const own = source.read(0, 1)
        return own.map((_, line) => own[from(line)]!)
      },
    }
  return {
    ...source,
    read(first, count) {
      const begin = first - (first % lines)
      const whole = source.read(begin, Math.ceil((first + count) / lines) * lines - begin)
      const out = new Float32Array(count * source.cols)
      for (let i = 0; i < count; i++) {
        const row = from(first + i) - begin
        out.set(whole.subarray(row * source.cols, (row + 1) * source.cols), i * source.cols)
      }
      return out
    },
  }
}
