/** The low-rank parts of linears that read one x are one product; where dropout gives each its own x they are not. */
import { readFileSync } from 'node:fs'
import { expect, it } from 'vitest'
import { chooseAdapter } from '../../src/adapters/choose.ts'
import { loraConfig } from '../../src/formats/peft/config.ts'
import { layoutParameters } from '../../src/graph/layout.ts'
import { Recorder } from '../../src/graph/recorder.ts'
import { inspect, tracePass } from '../../src/graph/training.ts'
import { openConfig } from '../../src/models/registry.ts'
import type { Tensor } from '../../src/ops/tensor.ts'
import { sft } from '../../src/train/objectives/sft.ts'

const path = new URL('../../examples/configs/llama-3.1-8b.json', import.meta.url)
const model = openConfig({ ...JSON.parse(readFileSync(path, 'utf8')), num_hidden_layers: 2 })

/** ranks of the products with lora_A in a block, forward; and of their weights' gradients */
function ranks(loraDropout: number, rankPattern = {}): { forward: number[]; gradients: number[] } {
  const targetModules = ['q_proj', 'k_proj', 'v_proj', 'o_proj', 'gate_proj', 'up_proj', 'down_proj']
  const config = loraConfig({ r: 16, loraDropout, rankPattern, targetModules })
  const adapter = chooseAdapter({ kind: 'lora', config }, { nf4: false, head: model.head.path }, true)
  const layout = layoutParameters(inspect(model, adapter, 'bf16').parameters.values())
  const spec = { model, adapter, activation: 'bf16' as const, layout, tokens: 128, score: sft.score, gradients: true }
  const { steps, segments } = tracePass(spec).lower(() => 'all').plan
  const ofA = (segment: string, op: string) => {
    const { from, to } = segments.find(({ name }) => name === segment)!
    return steps.slice(from, to).filter((step) => step.op === op && step.name.endsWith('lora_A') && step.block === 1)
  }
  const forward = ofA('forward', 'product').map((step) => step.outputs[0]!.cols)
  return { forward, gradients: ofA('backward', 'weight_grad').map((step) => step.outputs[0]!.rows) }
}

it('reads x once for q, k and v, and for gate and up', () => {
  expect(ranks(0)).toEqual({ forward: [48, 16, 32, 16], gradients: [16, 32, 16, 48] })
  // another rank is another scale (alpha / r), and that is an attribute of the product
  expect(ranks(0, { up_proj: 2 }).forward).toEqual([48, 16, 16, 2, 16])
})

it('leaves apart what dropout tells apart', () => {
  expect(ranks(0.1).forward).toEqual([16, 16, 16, 16, 16, 16, 16])
})

/**
 * Joined products of a block whose weights are trained whole: of latents, whose results are read in parts, those parts are parts of the joined one.
 * Sizes as published: tiny ones have gaps between the weights, and nothing is joined.
 */
it.each(['deepseek-v2-lite', 'moonlight-16b-a3b'])('%s: parts of a latent are where its joined product writes them', (name) => {
  const config = JSON.parse(readFileSync(new URL(`../../examples/configs/${name}.json`, import.meta.url), 'utf8'))
  const model = openConfig({ ...config, num_hidden_layers: 1, first_k_dense_replace: 1 })
  const adapter = chooseAdapter({ kind: 'full' }, { nf4: false, head: model.head.path }, true)
  const layout = layoutParameters(inspect(model, adapter, 'bf16').parameters.values())
  const spec = { model, adapter, activation: 'bf16' as const, layout, tokens: 128, score: sft.score, gradients: true }
  const { steps, buffers } = tracePass(spec).lower(() => 'all').plan
  const named = (name: RegExp) => steps.find((step) => name.test(step.name) && step.op !== 'weight_grad')!
  const joined = named(/\.self_attn\.q_proj$/)
  const { kv_lora_rank: rank, qk_rope_head_dim: rotated } = config
  const queries = joined.outputs[0]!.cols - rank - rotated
  expect(queries).toBe(config.num_attention_heads * (config.qk_nope_head_dim + rotated))
  const latent = named(/kv_a_layernorm$/).inputs.find((t) => t?.cols === rank && t?.rows === 128)!
  expect([latent.buffer, latent.offset, latent.stride]).toEqual([joined.outputs[0]!.buffer, queries, queries + rank + rotated])
  expect(buffers.filter(({ name }) => /kv_a_proj_with_mqa\.product$/.test(name))).toEqual([])
})

it('what was moved into a tensor goes with it where that is moved', () => {
  const r = new Recorder()
  const [a, b, c] = [4, 8, 16].map((cols) => r.tensor(`${cols}`, { rows: 2, cols, dtype: 'f32' }, 'arena')) as [Tensor, Tensor, Tensor]
  const part = r.columns(a, 1, 2)
  r.moveInto(b, a, 3)
  r.moveInto(c, b, 5)
  expect([part, a, b].map(({ root, offset, stride }) => [root, offset, stride])).toEqual([9, 8, 5].map((offset) => [c, offset, 16]))
})
