/** gpt-oss: the published files, rotations, what an adapter reaches, 4 bits, packed experts, what is refused. */
import { cpSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { CpuDevice } from '../../src/devices/cpu/device.ts'
import type { Device } from '../../src/devices/device.ts'
import { ReferenceDevice } from '../../src/devices/reference/device.ts'
import { LanguageModel } from '../../src/engine/language-model.ts'
import { loadAdapter } from '../../src/engine/load-adapter.ts'
import { type BaseChoice, OpenedModel } from '../../src/engine/opened-model.ts'
import { saveTrained } from '../../src/engine/save.ts'
import { parametersOf, settle } from '../../src/engine/settle.ts'
import { FastLanguageModel } from '../../src/fast-language-model.ts'
import { turnedTensor } from '../../src/formats/gguf/turned.ts'
import { asF32, asU16, bf16ToF32, bytesOf } from '../../src/formats/numbers.ts'
import { loraConfig } from '../../src/formats/peft/config.ts'
import { writeSafetensors } from '../../src/formats/safetensors/write.ts'
import type { CheckpointTensor } from '../../src/formats/tensor.ts'
import { DecodeLoop } from '../../src/generate/decode-loop.ts'
import { openCheckpoint } from '../../src/models/checkpoint.ts'
import { Config } from '../../src/models/config.ts'
import { readRotation } from '../../src/models/gpt-oss.ts'
import { openConfig } from '../../src/models/registry.ts'
import { digest, recorded, temporary } from '../formats/fixtures.ts'
import { distance } from '../parity/family-case.ts'

const fixtures = join(import.meta.dirname, '../fixtures')
const json = (path: string) => JSON.parse(readFileSync(path, 'utf8'))
const tiny = join(fixtures, 'training/gpt-oss/model')
const plain = { dtype: 'f32', loadIn4bit: false, doubleQuant: false } as const

it.each([
  ['20b', 20_914_757_184],
  ['120b', 116_829_156_672],
])('gpt-oss-%s opens, of the size it has in transformers', (size, parameters) => {
  const model = openConfig(json(join(import.meta.dirname, `../../examples/configs/gpt-oss-${size}.json`)))
  expect([...parametersOf(model).values()].reduce((n, { rows, cols }) => n + rows * cols, 0)).toBe(parameters)
  expect(model.term).toEqual({ name: 'aux_loss', coefficient: 0.9, asked: false })
})

interface Rope {
  config: Record<string, unknown>
  expected: { inv_freq: number[]; attention_factor: number }
}
const size = { hidden_size: 32, num_attention_heads: 2, head_dim: 16, max_position_embeddings: 256 }

it.each((json(join(fixtures, 'configs/rope-gpt-oss.json')) as Rope[]).map((row) => [JSON.stringify(row.config), row] as const))(
  'rotation of %s',
  (_, { config, expected }) => {
    const { invFreq, attentionFactor } = readRotation(new Config({ ...size, ...config }, 'gpt_oss'), 16)
    expect(invFreq).toHaveLength(expected.inv_freq.length)
    // frequencies are f32 in transformers, made by a few operations each: two units in the last place
    for (const [i, f] of expected.inv_freq.entries()) expect(Math.abs(invFreq[i]! / f - 1)).toBeLessThan(2.5e-7)
    expect(attentionFactor).toBeCloseTo(expected.attention_factor, 12)
  },
)

it.each([
  [{ hidden_act: 'gelu' }, 'hidden_act'],
  [{ sliding_window: null }, 'sliding_window'],
  [{ swiglu_limit: 0 }, 'swiglu_limit'],
  [{ swiglu_alpha: null }, 'swiglu_alpha'],
  [{ num_experts_per_tok: 129 }, 'num_experts_per_tok is 129, of 128 experts'],
  [{ layer_types: ['full_attention'] }, 'layer_types'],
  [{ head_dim: null }, 'head_dim'],
])('%j is refused by name', (more, what) => {
  expect(() =>
    openConfig({ model_type: 'gpt_oss', ...size, num_key_value_heads: 1, num_hidden_layers: 2, vocab_size: 64, ...more }),
  ).toThrow(expect.objectContaining({ code: 'MODEL_CONFIG', message: expect.stringContaining(what) }))
})

it('an adapter goes over attention; over experts and routers where they are named, as PEFT has it', async () => {
  const device = new CpuDevice({ threads: 1 })
  try {
    const { model } = await FastLanguageModel.fromPretrained(tiny, { device, dtype: 'f32', loadIn4bit: false })
    const reached = (options: object) => {
      const { names } = FastLanguageModel.getPeftModel(model, { r: 4, loraDropout: 0, ...options }).language.trainables
      return [...new Set(names.map((name) => name.replace(/^model\.layers\.\d+\.(self_attn\.)?|\.lora_[AB]\.weight$/g, '')))].sort()
    }
    const attention = ['k_proj', 'o_proj', 'q_proj', 'v_proj']
    expect(reached({})).toEqual(attention)
    expect(reached({ targetModules: 'all-linear' })).toEqual(attention)
    const targetParameters = ['experts.gate_up_proj', 'experts.down_proj', 'router.weight']
    expect(reached({ targetModules: ['q_proj'], targetParameters })).toEqual([
      'mlp.experts',
      'mlp.experts.base_layer',
      'mlp.router',
      'q_proj',
    ])
    // there are no linears of these names, nor does PEFT make anything of them here
    expect(() => reached({ targetModules: ['q_proj', 'gate_proj'] })).toThrow(/gate_proj/)
    await model.dispose()
  } finally {
    device.dispose()
  }
})

it('4 bits: linears of attention and experts, neither biases, router, sinks, norms nor embedding and head', () => {
  const device = new CpuDevice({ threads: 1 })
  try {
    const opened = new OpenedModel(device, openCheckpoint(tiny), { dtype: 'bf16', loadIn4bit: true, doubleQuant: true })
    const { recorder } = new LanguageModel(opened, { kind: 'lora', config: loraConfig({ targetModules: ['o_proj'] }) }, 0)
    const inNf4 = [...recorder.weights.values()].flatMap(({ dtype, name }) =>
      dtype === 'nf4' && name.startsWith('model.layers.1.') ? [name.slice(15)] : [],
    )
    const attention = ['q_proj', 'k_proj', 'v_proj', 'o_proj'].map((name) => `self_attn.${name}.weight`)
    expect(inNf4.sort()).toEqual([...attention, 'mlp.experts.gate_up_proj', 'mlp.experts.down_proj'].sort())
  } finally {
    device.dispose()
  }
})

/** of the last of these tokens */
async function lastLogits(device: Device, folder: string, choice: BaseChoice, ids: readonly number[]): Promise<Float32Array> {
  try {
    const model = new LanguageModel(new OpenedModel(device, openCheckpoint(folder), choice), { kind: 'none' }, 0)
    model.opened.loadFor(model.recorder)
    return (await new DecodeLoop(model).add(ids, ids.length)).logits
  } finally {
    device.dispose()
  }
}

it('over an NF4 base the CPU computes what the definitions do, and not what the weights before did', async () => {
  const ids = [1, 30, 17, 88, 151, 9, 64, 120, 3, 77, 42, 5]
  const nf4 = { dtype: 'f32', loadIn4bit: true, doubleQuant: true } as const
  // experts of 32 × 40 and 20 × 32 are whole blocks
  const [cpu, reference] = [await lastLogits(new CpuDevice({ threads: 2 }), tiny, nf4, ids), await lastLogits(new ReferenceDevice(), tiny, nf4, ids)] // biome-ignore format: two
  expect(distance(cpu, reference)).toBeLessThan(1e-5)
  expect(distance(cpu, await lastLogits(new CpuDevice({ threads: 2 }), tiny, plain, ids))).toBeGreaterThan(1e-2)
})

describe('experts in MXFP4', () => {
  const folder = join(fixtures, 'formats/mxfp4')
  const expected = recorded<Record<string, [string, string]>>('mxfp4.json')
  const both = (t: CheckpointTensor) => [digest(t.load('f32')), digest(bytesOf(bf16ToF32(asU16(t.load('bf16')))))]

  it('have the weights that from_pretrained gives, bit for bit, also in parts', () => {
    const { checkpoint, notes } = settle(openCheckpoint(folder))
    expect(Object.fromEntries([...checkpoint.tensors].map(([name, t]) => [name, both(t)]))).toEqual(expected)
    expect(notes).toEqual([expect.stringContaining('its weights in MXFP4 are made floats of again')])
    const t = checkpoint.tensors.get('model.layers.1.mlp.experts.gate_up_proj')!
    const whole = asF32(t.load('f32'))
    // within an expert, and over the edge between two
    for (const [from, count] of [[5, 3], [30, 40], [95, 1]] as const) // biome-ignore format: a table
      expect(asF32(t.load('f32', from, count))).toEqual(whole.subarray(from * t.cols, (from + count) * t.cols))
  })

  it('compute what transformers computes', async () => {
    const ours = await lastLogits(new CpuDevice({ threads: 1 }), folder, plain, [1, 7, 3, 40, 22, 9, 31, 5, 18, 2, 44, 11])
    // as gradients are held; transformers' own distance from f64 is less
    expect(distance(ours, Float32Array.from(recorded<number[]>('mxfp4-logits.json')))).toBeLessThan(1e-5)
  })

  it.each([
    ['f32', 0],
    ['bf16', 1],
  ] as const)('are saved dense, in %s, in the shape transformers has them in', async (dtype, at) => {
    const device = new CpuDevice({ threads: 1 })
    try {
      const opened = new OpenedModel(device, openCheckpoint(folder), { ...plain, dtype })
      const out = join(temporary(), 'saved')
      await saveTrained(new LanguageModel(opened, { kind: 'none' }, 0), out)
      const saved = openCheckpoint(out)
      expect(saved.config).not.toHaveProperty('quantization_config')
      expect(saved.tensors.get('model.layers.0.mlp.experts.gate_up_proj')!.shape).toEqual([3, 32, 128])
      expect(saved.tensors.get('model.layers.0.mlp.experts.down_proj_bias')!.shape).toEqual([3, 32])
      for (const [name, t] of saved.tensors) expect([name, both(t)[0]]).toEqual([name, expected[name]![at]])
    } finally {
      device.dispose()
    }
  })
})

it('GGUF: woven experts are read in parts as whole', () => {
  const { tensors } = openCheckpoint(join(fixtures, 'gguf-families/gpt-oss.gguf'))
  for (const name of ['gate_up_proj', 'gate_up_proj_bias', 'down_proj']) {
    const t = tensors.get(`model.layers.1.mlp.experts.${name}`)!
    const whole = asF32(t.load('f32'))
    // from behind, and over the edges between experts
    for (const [from, count] of [[t.rows - 1, 1], [1, t.rows - 2], [0, 1]] as const) // biome-ignore format: a table
      expect(asF32(t.load('f32', from, count))).toEqual(whole.subarray(from * t.cols, (from + count) * t.cols))
  }
})

it.each([
  [[[2, 6, 4], undefined], '2 × 6 × 4 and nothing'],
  [
    [
      [2, 6, 4],
      [2, 6, 5],
    ],
    '2 × 6 × 4 and 2 × 6 × 5',
  ],
  [
    [
      [6, 4],
      [6, 4],
    ],
    '6 × 4 and 6 × 4',
  ],
] as const)('GGUF: experts of %j are refused by name', (shapes, what) => {
  const parts = shapes.map((shape) => shape && ({ shape, bytes: 1, storage: 'F16' } as unknown as CheckpointTensor))
  expect(() => turnedTensor('model.layers.0.mlp.experts.gate_up_proj', parts, 'one.gguf')).toThrow(
    expect.objectContaining({ code: 'FORMAT_GGUF', message: expect.stringContaining(what) }),
  )
})

it('an adapter over experts of another layout is refused by name', async () => {
  const folder = join(fixtures, 'families/gpt-oss-experts')
  const out = join(temporary(), 'adapter')
  cpSync(join(folder, 'adapter'), out, { recursive: true })
  const name = 'base_model.model.model.layers.0.mlp.experts.0.down_proj.lora_A.weight'
  await writeSafetensors(join(out, 'adapter_model.safetensors'), [
    { name, dtype: 'F32', shape: [3, 20], data: new Uint8Array(240) },
    { name: name.replace('lora_A', 'lora_B'), dtype: 'F32', shape: [32, 3], data: new Uint8Array(384) },
  ])
  const device = new CpuDevice({ threads: 1 })
  try {
    const opened = new OpenedModel(device, openCheckpoint(join(folder, 'model')), plain)
    expect(() => loadAdapter(opened, out)).toThrow(expect.objectContaining({ code: 'FORMAT_ADAPTER' }))
  } finally {
    device.dispose()
  }
})
