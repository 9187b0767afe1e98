/** The low-rank parts of linears that read one x are one product; where dropout gives each its own x they are not. */
import { readFileSync } from 'node:fs'
import { expect, it } from 'vitest'
import { chooseAdapter } from '../../src/adapters/choose.ts'
import { loraConfig } from '../../src/formats/peft/config.ts'
import { layoutParameters } from '../../src/graph/layout.ts'
import { inspect, tracePass } from '../../src/graph/training.ts'
import { openConfig } from '../../src/models/registry.ts'
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
