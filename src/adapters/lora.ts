/**
 * LoRA (Hu et al. 2021): y = x·Wᵀ + s·(dropout(x)·Aᵀ)·Bᵀ beside a frozen W, as PEFT has it; s = alpha / r, or alpha / √r (rsLoRA).
 * The low-rank part is one more part of the large product, so biases, dropout, an adapted head or a 4-bit base change its inputs only.
 * Parameters are named as PEFT saves them.
 */
import type { LinearShape, Tensor } from '../models/trace.ts'
import { dropout } from '../ops/dropout/op.ts'
import { embed } from '../ops/embed/op.ts'
import { type Part, product } from '../ops/product/op.ts'
import type { Adapter, AdapterBuilder, Role } from './adapter.ts'
import type { Base } from './base.ts'
import { fromPattern, isSaved, type Modules, matches } from './match.ts'

export interface LoraConfig {
  r: number
  loraAlpha: number
  loraDropout: number
  /** s = alpha / √r (Kalajdzievski 2023) */
  useRslora: boolean
  targetModules: Modules
  excludeModules: Modules
  /** which biases of the base are trained: none, all, or those of the adapted modules */
  bias: 'none' | 'all' | 'lora_only'
  /** modules trained whole, as copies */
  modulesToSave: readonly string[]
  /** block indices to adapt; null: all */
  layersToTransform: readonly number[] | null
  rankPattern: Readonly<Record<string, number>>
  alphaPattern: Readonly<Record<string, number>>
}

export const LORA_DEFAULTS: LoraConfig = {
  r: 8,
  loraAlpha: 8,
  loraDropout: 0,
  useRslora: false,
  targetModules: ['q_proj', 'v_proj'],
  excludeModules: [],
  bias: 'none',
  modulesToSave: [],
  layersToTransform: null,
  rankPattern: {},
  alphaPattern: {},
}

export class Lora implements Adapter {
  readonly base: Base
  readonly config: LoraConfig
  /** paths that were adapted, in the order of the trace */
  readonly adapted = new Set<string>()
  /** false: evaluation and generation, nothing is dropped */
  readonly training: boolean

  constructor(base: Base, config: LoraConfig, training: boolean) {
    this.base = base
    this.config = config
    this.training = training
  }

  isTarget(path: string): boolean {
    const { targetModules, excludeModules, modulesToSave, layersToTransform } = this.config
    if (excludeModules.length && matches(excludeModules, path)) return false
    if (isSaved(modulesToSave, path)) return false
    if (typeof targetModules === 'string' && targetModules.toLowerCase() === 'all-linear') {
      if (path === this.base.options.head || path.endsWith('embed_tokens')) return false
    } else if (!matches(targetModules, path)) return false
    if (!layersToTransform) return true
    const index = /^.*?\.[^.]*\.(\d+)\./.exec(path)?.[1]
    return index !== undefined && layersToTransform.includes(Number(index))
  }

  tensor(b: AdapterBuilder, name: string, rows: number, cols: number, role: Role): Tensor {
    const path = name.replace(/\.[^.]+$/, '')
    if (isSaved(this.config.modulesToSave, path)) {
      return b.parameter({ name, rows, cols, role, init: { kind: 'checkpoint', name } })
    }
    if (role === 'bias' && (this.config.bias === 'all' || (this.config.bias === 'lora_only' && this.isTarget(path)))) {
      const saved = this.isTarget(path) ? `${path}.base_layer.bias` : name
      return b.parameter({ name: saved, rows, cols, role, init: { kind: 'checkpoint', name } })
    }
    return this.base.tensor(b, name, rows, cols, role)
  }

  linear(b: AdapterBuilder, path: string, x: Tensor, shape: LinearShape, tiedTo?: string): Tensor {
    const bias = shape.bias ? this.tensor(b, `${path}.bias`, 1, shape.out, 'bias') : null
    if (isSaved(this.config.modulesToSave, path)) {
      const init = { kind: 'checkpoint', name: `${tiedTo ?? path}.weight` } as const
      const w = b.parameter({ name: `${path}.weight`, rows: shape.out, cols: shape.in, role: 'linear', init })
      return product(b, [{ x, w }], { bias }, path)
    }
    const w = tiedTo ? this.base.tensor(b, `${tiedTo}.weight`, shape.out, shape.in, 'embedding') : this.base.linearWeight(b, path, shape)
    const list: Part[] = [{ x, w }]
    if (this.isTarget(path)) {
      this.adapted.add(path)
      const { r, scaling } = this.scale(path)
      // nn.Linear's own initialisation (Kaiming uniform, a = √5) for A, zeros for B: the adapter begins as nothing
      const init = { kind: 'uniform', bound: 1 / Math.sqrt(shape.in) } as const
      const a = b.parameter({ name: `${path}.lora_A.weight`, rows: r, cols: shape.in, role: 'linear', init })
      const up = b.parameter({ name: `${path}.lora_B.weight`, rows: shape.out, cols: r, role: 'linear', init: { kind: 'zeros' } })
      const dropped = this.training ? dropout(b, x, this.config.loraDropout, path) : x
      list.push({ x: product(b, [{ x: dropped, w: a }], { alpha: scaling }, `${path}.lora_A`), w: up })
    }
    return product(b, list, { bias }, path)
  }

  embed(b: AdapterBuilder, path: string, ids: Tensor, shape: { vocab: number; channels: number }): Tensor {
    const x = isSaved(this.config.modulesToSave, path) || !this.isTarget(path) ? null : this.scale(path)
    if (!x) {
      const w = this.tensor(b, `${path}.weight`, shape.vocab, shape.channels, 'embedding')
      return embed(b, ids, w, b.activation, false, path)
    }
    this.adapted.add(path)
    const { r, scaling } = x
    const w = this.base.tensor(b, `${path}.weight`, shape.vocab, shape.channels, 'embedding')
    const a = b.parameter({ name: `${path}.lora_embedding_A`, rows: r, cols: shape.vocab, role: 'embedding', init: { kind: 'zeros' } })
    const up = b.parameter({ name: `${path}.lora_embedding_B`, rows: shape.channels, cols: r, role: 'linear', init: { kind: 'normal', std: 1 } })
    const u = embed(b, ids, a, b.activation, true, `${path}.lora_embedding_A`)
    return product(b, [{ x: u, w: up }], { alpha: scaling, addend: embed(b, ids, w, b.activation, false, path) }, path)
  }

  private scale(path: string): { r: number; scaling: number } {
    const r = fromPattern(this.config.rankPattern, path) ?? this.config.r
    const alpha = fromPattern(this.config.alphaPattern, path) ?? this.config.loraAlpha
    return { r, scaling: alpha / (this.config.useRslora ? Math.sqrt(r) : r) }
  }
}
