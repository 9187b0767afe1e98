/**
 * What saqr plan says of models as their config.json lies on the Hub (examples/configs): the number of parameters that each is known by,
 * and the memory that QLoRA of rank 16 at 2048 tokens fits in.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { scratchOf } from '../../src/devices/cuda/plan.ts'
import type { Device } from '../../src/devices/device.ts'
import type { JsonObject } from '../../src/formats/json.ts'
import { openConfig } from '../../src/models/registry.ts'
import type { Node } from '../../src/ops/op.ts'
import { sft } from '../../src/train/objectives/sft.ts'
import { resolveObject } from '../../src/train/options/resolve.ts'
import { sftFields } from '../../src/train/options/sft.ts'
import { reportPlan } from '../../src/train/plan-report.ts'

const folder = join(import.meta.dirname, '../../examples/configs')
const configOf = (name: string): JsonObject => JSON.parse(readFileSync(join(folder, `${name}.json`), 'utf8'))

/**
 * Millions of parameters as the model's card or report has them, and GiB. A card's number has no adapter in it; of Gemma 3 4B it is the
 * text model's (its report: 675 M of embeddings and 3,209 M beside them; of 12B 1,012 and 10,759, of 27B 1,416 and 25,600), of DeepSeek V3 without the layers that predict further tokens, of
 * Moonlight 15.29 B and its two embeddings, which the report leaves out. Mixtures: budgets that were set for them; others: the next half GiB or so.
 */
const known: Record<string, [parameters: string, gib: number]> = {
  'deepseek-v2-lite': ['15.7B', 12],
  'deepseek-v3': ['671.0B', 400],
  'gemma-2-9b': ['9.24B', 8.5],
  'gemma-3-12b-it': ['11.77B', 10.5],
  'gemma-3-1b-it': ['1.00B', 2.5],
  'gemma-3-270m-it': ['0.27B', 1.5],
  'gemma-3-27b-it': ['27.0B', 20.5],
  'gemma-3-4b-it': ['3.88B', 5],
  'gpt-oss-120b': ['116.83B', 64.5],
  'gpt-oss-20b': ['20.91B', 14],
  'llama-3.1-70b': ['70.6B', 48],
  'llama-3.1-8b': ['8.03B', 8],
  'mistral-7b-v0.3': ['7.25B', 6.5],
  'mixtral-8x22b': ['140.6B', 77.5],
  'mixtral-8x7b': ['46.7B', 28],
  'moonlight-16b-a3b': ['15.96B', 12],
  'phi-3.5-mini-instruct': ['3.82B', 4],
  'phi-4-mini-instruct': ['3.836B', 4.5],
  'phi-4': ['14.7B', 12.5],
  'qwen3-235b-a22b': ['235.1B', 128.5],
  'qwen3-30b-a3b': ['30.5B', 19],
  'qwen3-8b': ['8.19B', 8.5],
  'smollm3-3b': ['3.08B', 4],
}

/** a card as plans see one: nothing is run */
const reach = { compute: 0.83, pairs: 0.54, copy: 0.9, launch: 5e-6 }
const cardBeside = (hostMemory: number) =>
  ({
    describe: () => ({
      kind: 'made',
      label: '',
      threads: 1,
      tokenQuantum: 128,
      passTokens: 16384,
      reach,
      overhead: [{ kind: 'the driver and its libraries', bytes: 650e6 }],
      hostMemory,
      scratch: (node: Node) => scratchOf(node, { arch: 90 }),
    }),
    limits: () => ({ f32: 4e14, bf16: 8e14, copy: 2.5e12, host: 50e9 }),
    available: () => 2 ** 40,
  }) as unknown as Device
const card = cardBeside(0)

const qlora = { usePeft: true, loraR: 16, loadIn4bit: true, maxLength: 2048, perDeviceTrainBatchSize: 1, gradientAccumulationSteps: 1 }

function planOf(name: string, options: object, on = card, changes: object = {}) {
  const config = { ...configOf(name), ...changes }
  return reportPlan(name, config, resolveObject(sftFields, { ...qlora, ...options }).options, on, sft)
}

it('has a line for every file', () => {
  const files = readdirSync(folder).map((file) => file.replace('.json', ''))
  expect(Object.keys(known).sort()).toEqual(files.sort())
})

describe.each(Object.entries(known))('%s', (name, [parameters, gib]) => {
  it(`has ${parameters} parameters, and trains in ${gib} GiB`, () => {
    // attention, and MLPs that are no experts: adapters on 128 experts are larger than the model in 4 bits
    const { linears, experts } = openConfig(configOf(name))
    const loraTargetModules = linears.filter((linear) => !Object.hasOwn(experts?.parameters ?? {}, linear))
    const report = planOf(name, { loraTargetModules, memory: `${gib}GiB` })
    const { all, trained } = report.parameters
    const digits = parameters.split('.')[1]!.length - 1
    expect(`${((all - trained) / 1e9).toFixed(digits)}B`).toBe(parameters)
    expect(trained).toBeGreaterThan(0)
    const { total, overhead } = report.memory
    expect(total + overhead).toBeLessThanOrEqual(gib * 2 ** 30)
    expect(total).toBeGreaterThan((all - trained) / 2) // four bits each are the least
  })
})

/** rank 16 on all experts, of gate and up together too, as baselines have it */
const onExperts = {
  loraTargetModules: ['q_proj', 'k_proj', 'v_proj', 'o_proj'],
  loraTargetParameters: ['experts.gate_up_proj', 'experts.down_proj'],
}

it.each([
  ['phi-4', 10, {}, {}],
  ['gemma-2-9b', 8.5, {}, {}],
  ['qwen3-30b-a3b', 6.8, onExperts, { num_hidden_layers: 12 }],
])('%s, batches of two rows in %f GiB where there is a host’s memory', (name, gib, targets, changes) => {
  const options = {
    loraTargetModules: openConfig(configOf(name)).linears,
    ...targets,
    perDeviceTrainBatchSize: 2,
    optim: 'adamw_8bit',
    useBnbNestedQuant: true,
    loraDropout: 0,
  }
  const { memory, step } = planOf(name, { ...options, memory: `${gib}GiB` }, cardBeside(60e9), changes)
  expect(memory.total + memory.overhead).toBeLessThanOrEqual(gib * 2 ** 30)
  expect(memory.host).toBeLessThan(8 * 2 ** 30)
  expect([step.rows, step.rowTokens]).toEqual([2, 2048])
})

it('and refuses targets that the model has none of, as a run does', () => {
  expect(() => planOf('phi-4', { loraTargetModules: ['q_proj', 'v_proj'] })).toThrow(/match no module of this phi3 model.*qkv_proj/)
})
