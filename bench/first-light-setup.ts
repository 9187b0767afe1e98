/** Llama-3.1-8B's shape with any number of blocks, random weights and LoRA r16, put on the card: what first light's benchmarks share. */
import { chooseAdapter } from '../src/adapters/choose.ts'
import type { CudaDevice } from '../src/devices/cuda/device.ts'
import type { QuantSpec } from '../src/devices/device.ts'
import { Trainables } from '../src/engine/trainables.ts'
import { storeConstants } from '../src/engine/weights.ts'
import { dynamicMap } from '../src/formats/dynamic-map.ts'
import { nf4Blocksize, nf4Codebook, nf4NestedBlocksize } from '../src/formats/nf4.ts'
import { loraConfig } from '../src/formats/peft/config.ts'
import type { Checkpoint } from '../src/formats/tensor.ts'
import { layoutParameters } from '../src/graph/layout.ts'
import type { Policy } from '../src/graph/recompute.ts'
import { inspect } from '../src/graph/training.ts'
import { openConfig } from '../src/models/registry.ts'
import { sft } from '../src/train/objectives/sft.ts'

export const config = (layers: number, vocab: number) => ({
  model_type: 'llama',
  hidden_size: 4096,
  intermediate_size: 14336,
  num_attention_heads: 32,
  num_key_value_heads: 8,
  num_hidden_layers: layers,
  vocab_size: vocab,
  rms_norm_eps: 1e-5,
  rope_theta: 500000,
  max_position_embeddings: 8192,
  hidden_act: 'silu',
  tie_word_embeddings: false,
})

const lora = loraConfig({
  r: 16,
  loraAlpha: 16,
  targetModules: ['q_proj', 'k_proj', 'v_proj', 'o_proj', 'gate_proj', 'up_proj', 'down_proj'],
})

/** xorshift32 */
export function generator(seed: number): () => number {
  let s = seed
  return () => {
    s ^= s << 13
    s ^= s >>> 17
    s ^= s << 5
    return (s >>> 0) / 2 ** 32
  }
}

/** uniform numbers of deviation `std` in bf16, as many as asked for: the first 2²⁶ drawn, then again */
export function randomPool(elements: number, std: number): Uint8Array {
  const random = generator(7)
  const out = new Uint16Array(elements)
  const float = new Float32Array(1)
  const bits = new Uint32Array(float.buffer)
  const drawn = Math.min(elements, 2 ** 26)
  for (let i = 0; i < drawn; i++) {
    float[0] = (2 * random() - 1) * std * Math.sqrt(3)
    out[i] = (bits[0]! + 0x8000) >>> 16
  }
  for (let at = drawn; at < elements; at += drawn) out.set(out.subarray(0, Math.min(drawn, elements - at)), at)
  return new Uint8Array(out.buffer)
}

export interface Shape {
  layers: number
  vocab: number
  /** NF4 (nested) for the linears of the blocks */
  nf4: boolean
  /** positions of a head chunk */
  chunk: number
  policy: Policy
}

/** random nibbles whose scales lie between 0.05 and 0.07 */
function randomNf4(elements: number, bytes: Uint8Array): { source: { kind: 'data'; bytes: Uint8Array }; quant: QuantSpec } {
  const data = (bytes: Uint8Array) => ({ kind: 'data', bytes }) as const
  const blocks = Math.ceil(elements / nf4Blocksize)
  const outer = new Float32Array(Math.ceil(blocks / nf4NestedBlocksize)).fill(0.01)
  const nested = { blocksize: nf4NestedBlocksize, code: dynamicMap(true), absmax: data(new Uint8Array(outer.buffer)), offset: 0.06 }
  const quant = { blocksize: nf4Blocksize, codebook: nf4Codebook, absmax: data(bytes.subarray(0, blocks)), nested }
  return { source: data(bytes.subarray(0, elements / 2)), quant }
}

/** `pool`: of randomPool(); `bytes`: uniform random bytes, half as many as the largest quantised weight has elements */
export function load(device: CudaDevice, pool: Uint8Array, bytes: Uint8Array, shape: Shape) {
  const model = openConfig(config(shape.layers, shape.vocab))
  const adapter = chooseAdapter({ kind: 'lora', config: lora }, { nf4: shape.nf4, head: model.head.path }, true)
  const recorder = inspect(model, adapter, 'bf16')
  let offset = 0
  for (const { name, rows, cols, dtype } of recorder.weights.values()) {
    if (device.has(name)) continue
    const size = rows * cols * 2
    if (dtype === 'nf4') {
      device.store(name, { rows, cols, dtype, ...randomNf4(rows * cols, bytes) })
    } else if (rows === 1) {
      const ones = new Uint8Array(new Uint16Array(cols).fill(0x3f80).buffer)
      device.store(name, { rows, cols, dtype, source: { kind: 'data', bytes: ones } })
    } else {
      offset = (offset + 8192 * 2) % (pool.length - size)
      device.store(name, { rows, cols, dtype, source: { kind: 'data', bytes: pool.subarray(offset, offset + size) } })
    }
  }
  storeConstants(device, recorder.constants)
  const layout = layoutParameters(recorder.parameters.values(), `${shape.layers}.`)
  const trainables = new Trainables(device, layout, {} as Checkpoint, 0)
  const random = generator(11)
  for (const name of trainables.names) {
    const { rows, cols } = trainables.shape(name)
    trainables.set(name, Float32Array.from({ length: rows * cols }, () => (random() - 0.5) * 0.02)) // biome-ignore format: short
  }
  const { policy, chunk } = shape
  const spec = { model, adapter, activation: 'bf16' as const, layout, chunk, policy: () => () => policy, score: sft.score, gradients: true }
  return { spec, trainables, layout, weights: [...recorder.weights.keys()] }
}

/** ROWS rows of TOKENS random tokens; the last `targets` of each are targets */
export function randomRows(rows: number, tokens: number, vocab: number, targets: number) {
  const random = generator(3)
  return Array.from({ length: rows }, (_, row) => ({
    ids: Int32Array.from({ length: tokens }, () => Math.floor(random() * vocab)),
    targets: Uint8Array.from({ length: tokens }, (_, i) => (i >= tokens - targets ? 1 : 0)),
    row,
    source: 'random',
  }))
}

export const median = (x: readonly number[]) => [...x].sort((a, b) => a - b)[x.length >> 1]!
