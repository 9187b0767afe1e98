/**
 * What every family here is: an embedding, blocks, a last norm, a head. And the block that Llama made standard: attention and MLP, each
 * after a norm and beside a residual. A family with another block writes its own.
 */
import type { NormOptions } from '../ops/rms-norm/op.ts'
import type { Tensor } from '../ops/tensor.ts'
import type { Config } from './config.ts'
import type { Composite, Model } from './family.ts'
import { MLP_LINEARS } from './mlp.ts'
import { addNorm, norm } from './norm.ts'
import { ATTENTION_LINEARS } from './self-attention.ts'
import type { Trace } from './trace.ts'

/** x (T, C) -> (T, C) */
export type Block = (t: Trace, x: Tensor, layer: number) => Tensor

export interface DecoderParts {
  block: Block
  /** of the last hidden state */
  norm: NormOptions
  /** what becomes of the embeddings (T, C) */
  embedded?: (t: Trace, x: Tensor) => Tensor
  /** what becomes of the head's product (n, V) */
  capped?: (t: Trace, logits: Tensor) => Tensor
  /** default of tie_word_embeddings */
  tied?: boolean
  /** the blocks' linears, where they aren't Llama's seven */
  linears?: readonly string[]
  /** the text model's in a checkpoint of several: its path, and the configuration that says what is tied */
  inside?: Composite & { path: string; whole: Config }
  /** see `Model` */
  within?: Readonly<Record<string, string>>
  /** see `Model` */
  longBeyond?: number
  /** see `Model` */
  pieces?: Model['pieces']
  /** see `Model` */
  apart?: Model['apart']
  /** see `Model` */
  term?: Model['term']
  /** see `Model` */
  experts?: Model['experts']
  /** see `Model` */
  saved?: Model['saved']
  /** what is made of what the blocks kept (`Trace.keep`) */
  after?: (t: Trace) => void
}

export function decoder(c: Config, parts: DecoderParts): Model {
  const {
    block,
    norm: last,
    embedded,
    capped,
    tied = false,
    inside,
    within,
    longBeyond,
    pieces,
    apart,
    term,
    after,
    experts,
    saved,
  } = parts
  const { linears = [...ATTENTION_LINEARS, ...MLP_LINEARS] } = parts
  c.only('attention_dropout', 0)
  const channels = c.count('hidden_size')
  const layers = c.count('num_hidden_layers')
  const vocab = c.count('vocab_size')
  const { path = 'model', whole = c } = inside ?? {}
  const tiedTo = whole.flag('tie_word_embeddings', tied) ? `${path}.embed_tokens` : undefined
  const padding = c.tokenId('pad_token_id', vocab)
  return {
    family: whole.modelType,
    config: c,
    path,
    layers,
    channels,
    vocab,
    maxPositions: c.count('max_position_embeddings', 2048),
    head: { path: 'lm_head', tiedTo },
    linears,
    composite: inside,
    ...(within ? { within } : {}),
    ...(longBeyond === undefined ? {} : { longBeyond }),
    ...(pieces ? { pieces } : {}),
    ...(apart ? { apart } : {}),
    ...(term ? { term } : {}),
    ...(experts ? { experts } : {}),
    ...(saved ? { saved } : {}),
    forward(t) {
      const x = t.embed(`${path}.embed_tokens`, { vocab, channels, padding })
      const h = t.blocks(`${path}.layers`, layers, embedded ? embedded(t, x) : x, block)
      after?.(t)
      return norm(t, `${path}.norm`, h, last)
    },
    logits(t, h) {
      const product = t.linear('lm_head', h, { in: channels, out: vocab, bias: false, tiedTo })
      return capped ? capped(t, product) : product
    },
  }
}

export interface PreNormParts {
  norm: NormOptions
  attention: Block
  mlp: (t: Trace, x: Tensor) => Tensor
}

/** h = x + attention(norm(x));  h + mlp(norm(h)) */
export function preNorm(parts: PreNormParts): Block {
  return (t, x, layer) => {
    const delta = parts.attention(t, norm(t, 'input_layernorm', x, parts.norm), layer)
    const { h, y } = addNorm(t, 'post_attention_layernorm', x, delta, parts.norm)
    return t.add(h, parts.mlp(t, y))
  }
}
