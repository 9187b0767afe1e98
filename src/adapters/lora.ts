/**
 * LoRA (Hu et al. 2021): y = x·Wᵀ + s·(dropout(x)·Aᵀ)·Bᵀ beside a frozen W, as PEFT has it; s = alpha / r, or alpha / √r (rsLoRA).
 * The low-rank part is one more part of the large product, so biases, dropout, an adapted head or a 4-bit base change its inputs only.
 * Parameters are named as PEFT saves them.
 */
import { SaqrError } from '../error.ts'
import type { AdapterConfig } from '../formats/peft/config.ts'
import { loraScale, rankOf } from '../formats/peft/scale.ts'
import type { EmbeddingShape, ExpertsShape, LinearShape, RouterShape } from '../models/trace.ts'
import type { Dispatch } from '../ops/dispatch/op.ts'
import { slotDropout } from '../ops/dropout/op.ts'
import { dropoutProduct } from '../ops/dropout-product/op.ts'
import { embed } from '../ops/embed/op.ts'
import { groupedProduct } from '../ops/grouped-product/op.ts'
import { type Part, product } from '../ops/product/op.ts'
import type { Tensor } from '../ops/tensor.ts'
import type { Adapter, AdapterBuilder, BaseTensor, ExpertPart, ParameterInit, Role, Trained } from './adapter.ts'
import type { Base } from './base.ts'
import { expertsMatrix, expertsProduct } from './direct.ts'
import { partShape } from './expert-layout.ts'
import { transpose, transposed } from './low-rank.ts'
import { expertsPath, isNamed, isParameter, isSaved } from './match.ts'
import { TOKEN_ROWS, type TokenRows, tokenRowsOf, withTokenColumns, withTokenRows, writeTokenRows } from './token-rows.ts'
import { checkDropout } from './whole-tensors.ts'

export class Lora implements Adapter {
  readonly base: Base
  readonly config: AdapterConfig
  /** false: evaluation and generation, nothing is dropped */
  readonly training: boolean

  constructor(base: Base, config: AdapterConfig, training: boolean) {
    if (config.loraBias)
      throw new SaqrError(
        'OPTION_UNSUPPORTED',
        "lora_bias (a bias beside lora_B) is not supported: train the base's biases with bias 'all' or 'lora_only'",
      )
    this.base = base
    this.config = config
    this.training = training
  }

  get label(): string {
    return `LoRA r ${this.config.r}`
  }

  get random(): string | null {
    return this.config.loraDropout > 0 ? `lora_dropout is ${this.config.loraDropout}` : null
  }

  /** the embedding that ensure_weight_tying adapts together with the head that reads it */
  private get tied(): string | undefined {
    return this.config.ensureWeightTying ? this.base.options.tiedTo : undefined
  }

  get copies(): ReadonlyMap<string, string> {
    return new Map(this.tied !== undefined && this.isSaved(this.tied) ? [[`${this.base.options.head}.weight`, `${this.tied}.weight`]] : [])
  }

  isTarget(path: string, role: 'linear' | 'embedding' = 'linear'): boolean {
    const { head } = this.base.options
    if (this.tied === undefined || (path !== head && path !== this.tied)) return this.isNamed(path, role)
    return this.isNamed(head, 'linear') || this.isNamed(this.tied, 'embedding')
  }

  private isNamed(path: string, role: 'linear' | 'embedding'): boolean {
    return !this.isSaved(path) && isNamed(this.config, path, { role, head: this.base.options.head })
  }

  /** trained whole (modules_to_save) */
  isSaved(path: string): boolean {
    const names = this.config.modulesToSave ?? []
    const { head } = this.base.options
    if (this.tied === undefined || (path !== head && path !== this.tied)) return isSaved(names, path)
    return isSaved(names, head) || isSaved(names, this.tied)
  }

  /** of the embedding, or of the head at `path` */
  private tokenRows(path: string): TokenRows | null {
    return tokenRowsOf(this.config, path, this.base.options)
  }

  tensor(b: AdapterBuilder, name: string, rows: number, cols: number, role: Role): Tensor {
    const path = name.replace(/\.[^.]+$/, '')
    if (this.isSaved(path)) {
      return b.parameter({ name, rows, cols, role, init: { kind: 'checkpoint', name } })
    }
    // PEFT means modules' biases, not tensors of experts' (gate_up_proj_bias)
    const isBias = role === 'bias' && name.endsWith('.bias')
    const wrapped = this.isTarget(path) || isParameter(this.config, `${path}.weight`)
    if (isBias && (this.config.bias === 'all' || (this.config.bias === 'lora_only' && wrapped))) {
      const saved = wrapped ? `${path}.base_layer.bias` : name
      return b.parameter({ name: saved, rows, cols, role, init: { kind: 'checkpoint', name } })
    }
    return this.base.tensor(b, name, rows, cols, role)
  }

  linear(b: AdapterBuilder, path: string, x: Tensor, shape: LinearShape): Tensor {
    const { tiedTo } = shape
    const bias = shape.bias ? this.tensor(b, `${path}.bias`, 1, shape.out, 'bias') : null
    if (this.isSaved(path)) {
      const init = { kind: 'checkpoint', name: `${tiedTo ?? path}.weight` } as const
      const own = { name: `${path}.weight`, rows: shape.out, cols: shape.in, role: 'linear', init } as const
      const w = b.parameter(this.tied !== undefined && tiedTo ? { ...own, name: `${tiedTo}.weight`, role: 'embedding' } : own)
      return product(b, [{ x, w }], { bias }, path)
    }
    const w = this.base.linearWeight(b, path, shape)
    const beside: Part[] = []
    if (this.isTarget(path)) {
      beside.push(this.lowRank(b, path, path, x, shape.out, 'linear', this.training ? this.config.loraDropout : 0))
    } else if (this.isParameter(`${path}.weight`)) beside.push(this.lowRank(b, path, `${path}.weight`, x, shape.out))
    const own = path === this.base.options.head ? this.tokenRows(path) : null
    if (!own) return product(b, [{ x, w }, ...beside], { bias }, path)
    // a token's own row stands in for W's, below the low-rank part
    const times = (rows: Tensor) => product(b, [{ x, w: rows }], {}, `${path}.${TOKEN_ROWS}`)
    const weight = `${tiedTo ?? path}.weight`
    const y = withTokenColumns(b, product(b, [{ x, w }], { bias }, path), own, { cols: shape.in, weight, times })
    return beside.length ? product(b, beside, { addend: y }, path) : y
  }

  router(b: AdapterBuilder, path: string, x: Tensor, shape: RouterShape): Tensor {
    const { experts } = shape
    const bias = shape.bias ? this.tensor(b, `${path}.bias`, 1, experts, 'bias') : null
    const parts: Part[] = [{ x, w: this.tensor(b, `${path}.weight`, experts, x.cols, 'router') }]
    if (this.isParameter(`${path}.weight`)) parts.push(this.lowRank(b, path, `${path}.weight`, x, experts, 'router'))
    return product(b, parts, { bias }, path)
  }

  experts(b: AdapterBuilder, name: string, x: Tensor, slots: Dispatch, given: ExpertsShape): Tensor {
    const whole = this.isSaved(name.replace(/\.[^.]+$/, ''))
    const shape = whole ? given : this.base.asTheyLie(name, given)
    const { turned: trans = false } = shape
    const { offsets } = slots
    const parts: Part[] = [{ x, w: whole ? wholeExperts(b, name, shape) : this.base.expertsWeight(b, name, shape) }]
    if (!whole && this.isParameter(name)) {
      const [r, { experts, in: cols, out }] = [rankOf(this.config, name), shape]
      const path = expertsPath(this.config, name)
      const part = (experts: ExpertPart, init: ParameterInit) =>
        b.parameter({ name: `${path}.lora_${experts.of}.weight`, ...partShape(experts), role: 'experts', init, experts })
      const a = part({ of: 'A', experts, size: cols, r, wide: !trans }, { kind: 'uniform', bound: 1 / Math.sqrt(cols) })
      const up = part({ of: 'B', experts, size: out, r, wide: trans }, { kind: 'zeros' })
      const alpha = loraScale(this.config, name)
      // of linears of their own each row is dropped by itself
      const dropped = this.training ? slotDropout(b, x, slots, this.config.loraDropout, name) : x
      parts.push({ x: groupedProduct(b, offsets, [{ x: dropped, w: a }], { alpha, trans }, `${name}.lora_A`), w: up })
    }
    return expertsProduct(this, b, name, offsets, parts, shape)
  }

  /** @throws SaqrError OPTION_UNSUPPORTED in training, where dropout has nothing to act on */
  private isParameter(name: string): boolean {
    if (this.training) checkDropout(this.config, [name])
    return isParameter(this.config, name)
  }

  /** s · x·Aᵀ and B: what rides beside x and a frozen weight; x dropped by `p`. `key`: by which rank and scale are looked up */
  private lowRank(b: AdapterBuilder, path: string, key: string, x: Tensor, out: number, role: Role = 'linear', p = 0): Part {
    const r = rankOf(this.config, key)
    // nn.Linear's own initialisation (Kaiming uniform, a = √5) for A, zeros for B: the adapter begins as nothing
    const init = { kind: 'uniform', bound: 1 / Math.sqrt(x.cols) } as const
    const a = b.parameter({ name: `${path}.lora_A.weight`, rows: r, cols: x.cols, role, init, lane: 'lora_A' })
    const up = b.parameter({ name: `${path}.lora_B.weight`, rows: out, cols: r, role, init: { kind: 'zeros' } })
    const [alpha, name] = [loraScale(this.config, key), `${path}.lora_A`]
    const u = p > 0 ? dropoutProduct(b, x, a, { p, path, alpha }, name) : product(b, [{ x, w: a }], { alpha }, name)
    return { x: u, w: up }
  }

  embed(b: AdapterBuilder, path: string, ids: Tensor, shape: EmbeddingShape): Tensor {
    const options = { dtype: b.activation, padding: shape.padding }
    if (!this.isTarget(path, 'embedding')) {
      const w = this.tensor(b, `${path}.weight`, shape.vocab, shape.channels, 'embedding')
      const x = embed(b, ids, w, options, path)
      const own = this.tokenRows(path)
      return own ? withTokenRows(b, x, ids, own, shape.padding) : x
    }
    const r = rankOf(this.config, path)
    const w = this.base.tensor(b, `${path}.weight`, shape.vocab, shape.channels, 'embedding')
    const a = b.parameter({ name: `${path}.lora_embedding_A`, rows: r, cols: shape.vocab, role: 'embedding', init: { kind: 'zeros' } })
    const up = b.parameter({
      name: `${path}.lora_embedding_B`,
      rows: shape.channels,
      cols: r,
      role: 'linear',
      init: { kind: 'normal', std: 1 },
    })
    const u = embed(b, ids, a, { ...options, trans: true }, `${path}.lora_embedding_A`)
    return product(b, [{ x: u, w: up }], { alpha: loraScale(this.config, path), addend: embed(b, ids, w, options, path) }, path)
  }

  merge(name: string, base: BaseTensor, given: (name: string) => Trained | null): Float32Array | null {
    const path = name.replace(/\.(weight|bias)$/, '')
    const merged = this.mergeExperts(name, base, given)
    if (merged) return merged
    const trained = (name: string) => given(name)?.values ?? null
    const whole = trained(name) ?? (name.endsWith('.bias') ? trained(`${path}.base_layer.bias`) : null)
    if (whole || !name.endsWith('.weight')) return whole
    const { rows, cols, from = 0 } = base
    const scale = loraScale(this.config, this.isTarget(path) || !this.isParameter(name) ? path : name)
    const own = this.tokenRows(path)
    const ofTokens = own && trained(`${own.path}.${TOKEN_ROWS}`)
    const values = () => (own && ofTokens ? writeTokenRows(base.values(), own, ofTokens, cols, base.from) : base.values())
    const [a, b] = [trained(`${path}.lora_A.weight`), trained(`${path}.lora_B.weight`)]
    const ofRows = (b: Float32Array, r: number) => b.subarray(from * r, (from + rows) * r)
    if (a && b) return base.addLowRank(values(), ofRows(b, a.length / cols), a, scale, cols)
    if (ofTokens) return values()
    // an embedding's A is (r, V) and B (C, r): W (V, C) gains s·(B·A)ᵀ
    const [embeddingA, embeddingB] = [trained(`${path}.lora_embedding_A`), trained(`${path}.lora_embedding_B`)]
    if (!embeddingA || !embeddingB) return null
    const r = embeddingB.length / cols
    return base.addLowRank(base.values(), transposed(embeddingA, r, from, rows), transpose(embeddingB, cols, r), scale, cols)
  }

  /** each expert's rows with its own low-rank part, or those that were trained whole; `base` may be some rows of all */
  private mergeExperts(name: string, base: BaseTensor, trained: (name: string) => Trained | null): Float32Array | null {
    const { rows, cols, from = 0 } = base
    const whole = trained(name)
    if (whole) return whole.values.subarray(from * cols, (from + rows) * cols)
    if (!isParameter(this.config, name) || name.endsWith('.weight')) return null
    const path = expertsPath(this.config, name)
    const [a, b] = [trained(`${path}.lora_A.weight`), trained(`${path}.lora_B.weight`)]
    if (!a?.spec.experts || !b?.spec.experts) return null
    // B·A, or its transpose: the one whose rows are the weight's stands on the left
    const across = this.base.liesAcross(name)
    const [left, right] = a.spec.experts.wide !== across ? [b, a] : [a, b]
    const turned = (x: Float32Array, rows: number, cols: number) => (across ? transpose(x, rows, cols) : x)
    const { r, size: height } = left.spec.experts!
    const scale = loraScale(this.config, name)
    const w = base.values()
    for (let row = from, end = from; row < from + rows; row = end) {
      const e = Math.floor(row / height)
      end = Math.min(from + rows, (e + 1) * height)
      const own = w.subarray((row - from) * cols, (end - from) * cols)
      const ofLeft = turned(left.values.subarray(e * height * r, (e + 1) * height * r), r, height)
      const ofRight = turned(right.values.subarray(e * r * cols, (e + 1) * r * cols), cols, r)
      base.addLowRank(own, ofLeft.subarray((row - e * height) * r, (end - e * height) * r), ofRight, scale, cols)
    }
    return w
  }
}

/** all of them trained, from the checkpoint's */
function wholeExperts(b: AdapterBuilder, name: string, shape: ExpertsShape): Tensor {
  const { rows, cols } = expertsMatrix(shape)
  const init = { kind: 'checkpoint', name } as const
  return b.parameter({ name, rows, cols, shape: [shape.experts, rows / shape.experts, cols], role: 'experts', init })
}
