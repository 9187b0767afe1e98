/** An adapter alone as a GGUF file: its tensors read back are the adapter's, and what llama.cpp makes of them is the merged model. */
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it, vi } from 'vitest'
import { exportModel } from '../../src/cli/verbs/export.ts'
import { decoders } from '../../src/formats/gguf/dequantise.ts'
import { readGguf } from '../../src/formats/gguf/open.ts'
import { FastLanguageModel, type PretrainedModel } from '../../src/index.ts'
import { commandLine } from '../cli/saqr.ts'
import { writeTinyModel } from '../cli/tiny-model.ts'
import { asTrained } from '../engine/as-trained.ts'

const folder = mkdtempSync(join(tmpdir(), 'saqr-gguf-adapter-'))
const at = (name: string) => join(folder, name)
const saqr = commandLine({ export: exportModel })
let base: PretrainedModel

beforeAll(async () => {
  vi.spyOn(console, 'log').mockImplementation(() => {})
  await writeTinyModel(at('base'))
  ;({ model: base } = await FastLanguageModel.fromPretrained(at('base'), { device: 'cpu', dtype: 'float32', loadIn4bit: false }))
})
afterAll(async () => {
  await base.dispose()
  rmSync(folder, { recursive: true, force: true })
})

type Lora = NonNullable<Parameters<typeof FastLanguageModel.getPeftModel>[1]>

const adapted = (options: Lora) => asTrained(base, { r: 4, loraAlpha: 8, ...options })

/** tensors of a GGUF file, f32 */
function tensorsOf(path: string): Map<string, { shape: readonly number[]; type: string; values: Float32Array }> {
  const { tensors } = readGguf(path)
  return new Map(
    [...tensors].map(([name, { shape, type, offset, bytes }]) => {
      const raw = readFileSync(path).subarray(offset, offset + bytes)
      const values = new Float32Array(shape.reduce((n, d) => n * d, 1))
      if (type.name === 'F32') values.set(new Float32Array(new Uint8Array(raw).buffer))
      else decoders[type.name]?.(raw, 0, values.length / type.block, values, 0)
      return [name, { shape, type: type.name, values }]
    }),
  )
}

it('f32: what is in the file is the adapter, bit for bit', async () => {
  const peft = adapted({ targetModules: ['q_proj', 'k_proj', 'v_proj', 'down_proj'] })
  const [saved] = await peft.savePretrainedGguf(at('lora'), { adapterOnly: true })
  expect(saved).toMatchObject({ path: at('lora/lora.F32-LORA.gguf'), compared: null })
  const { metadata } = readGguf(saved!.path)
  expect(Object.fromEntries(metadata)).toMatchObject({
    'general.type': 'adapter',
    'general.architecture': 'llama',
    'adapter.type': 'lora',
    'adapter.lora.alpha': 8,
  })
  const tensors = tensorsOf(saved!.path)
  const { trainables, opened } = peft.language
  expect(tensors.size).toBe(trainables.names.length)
  const parts = { q_proj: 'attn_q', k_proj: 'attn_k', v_proj: 'attn_v', down_proj: 'ffn_down' }
  for (const name of trainables.names) {
    const [, layer, linear, part] = /layers\.(\d+)\..*\.(\w+)\.lora_([AB])\.weight$/.exec(name)!
    const gguf = parts[linear as keyof typeof parts]
    const { rows, cols } = trainables.shape(name)
    const given = trainables.get(name)
    const heads = linear === 'q_proj' ? 'num_attention_heads' : 'num_key_value_heads'
    const lines = rows / (opened.model.config.json[heads] as number)
    // rows 0, half, 1, half + 1 … of each head, as llama.cpp rotates them
    const from = (row: number) => row - (row % lines) + ((row % lines) >> 1) + (row % 2) * (lines / 2)
    const rotated = part === 'B' && /[qk]_proj/.test(linear!)
    const wanted = given.map((_, i) => given[(rotated ? from(Math.floor(i / cols)) : Math.floor(i / cols)) * cols + (i % cols)]!)
    const found = tensors.get(`blk.${layer}.${gguf}.weight.lora_${part!.toLowerCase()}`)!
    expect([name, found.shape, found.values]).toEqual([name, [rows, cols], wanted])
  }
  await peft.dispose()
})

it('base and adapter as llama.cpp adds them (alpha / rank · B·A) are the merged file, whatever the patterns', async () => {
  const peft = adapted({ useRslora: true, rankPattern: { v_proj: 2 }, alphaPattern: { o_proj: 3 } })
  const [adapter] = await peft.savePretrainedGguf(at('patterns.gguf'), { adapterOnly: true })
  const [whole] = await peft.savePretrainedGguf(at('whole.gguf'), { quantizationMethod: 'f32', check: false })
  const [bare] = await base.savePretrainedGguf(at('bare.gguf'), { quantizationMethod: 'f32', check: false })
  const [lora, merged, without] = [adapter, whole, bare].map((file) => tensorsOf(file!.path))
  const alpha = readGguf(adapter!.path).metadata.get('adapter.lora.alpha') as number
  let changed = 0
  for (const [name, w] of merged!) {
    const [a, b] = ['a', 'b'].map((part) => lora!.get(`${name}.lora_${part}`))
    const own = without!.get(name)!.values
    const made = Float32Array.from(own)
    if (a && b) {
      const [r, cols] = a.shape as [number, number]
      for (let i = 0; i < made.length; i++) {
        let sum = 0
        for (let k = 0; k < r; k++) sum += b.values[Math.floor(i / cols) * r + k]! * a.values[k * cols + (i % cols)]!
        made[i] = own[i]! + (alpha / r) * sum
      }
      changed++
    }
    // alpha and B are rounded to f32 once more: a few units of 2^-24 of sums below 1
    for (const [i, x] of w.values.entries()) if (Math.abs(x - made[i]!) > 1e-6) expect([name, i, made[i]]).toEqual([name, i, x])
  }
  expect(changed).toBe(lora!.size / 2)
  await peft.dispose()
})

it('in blocks where ranks divide into them, else f16', async () => {
  const peft = adapted({ r: 32, targetModules: ['q_proj'], rankPattern: { 'layers.0.self_attn.q_proj': 4 } })
  const [saved] = await peft.savePretrainedGguf(at('blocks.gguf'), { adapterOnly: true, quantizationMethod: 'q8_0' })
  const types = [...tensorsOf(saved!.path)].map(([name, { type }]) => `${name} ${type}`)
  expect(types).toEqual(expect.arrayContaining(['blk.0.attn_q.weight.lora_a Q8_0', 'blk.0.attn_q.weight.lora_b F16']))
  await peft.dispose()
})

it.each<[Lora, RegExp]>([
  [{ modulesToSave: ['lm_head'] }, /lm_head\.weight is trained, which is no low-rank part of a linear/],
  [{ targetModules: ['q_proj', 'embed_tokens'] }, /embed_tokens\.lora_embedding_A is trained, which is no low-rank/],
  [{ alphaPattern: { k_proj: 0 } }, /the scale of .* is 0, which a file says as 1/],
])('%j is refused by name', async (options, message) => {
  const peft = adapted(options)
  await expect(peft.savePretrainedGguf(at('refused.gguf'), { adapterOnly: true })).rejects.toThrow(message)
  expect(existsSync(at('refused.gguf'))).toBe(false)
  await peft.dispose()
})

it('a model without an adapter, a type that adapters have none of', async () => {
  await expect(base.savePretrainedGguf(at('x.gguf'), { adapterOnly: true })).rejects.toThrow(/over a model: there is none/)
  const peft = adapted({})
  await expect(peft.savePretrainedGguf(at('x.gguf'), { adapterOnly: true, quantizationMethod: 'q4_0' })).rejects.toThrow(
    'quantizationMethod q4_0: an adapter alone is written in f32, f16, bf16, q8_0',
  )
  // told before the first of several is written
  await expect(peft.savePretrainedGguf(at('several'), { adapterOnly: true, quantizationMethod: ['f32', 'q4_0'] })).rejects.toThrow(/q4_0/)
  expect(existsSync(at('several'))).toBe(false)
  await peft.savePretrained(at('peft'))
  await peft.dispose()
})

it('saqr export --gguf_adapter', async () => {
  const args = ['export', '--model_name_or_path', at('peft'), '--output_dir', at('cli'), '--device', 'cpu', '--gguf_adapter']
  const run = await saqr(...args, 'f32,f16')
  expect(run.code, run.err).toBe(0)
  expect(run.out).toMatch(/cli\.F32-LORA\.gguf: 0\.0 MB.*\n.*cli\.F16-LORA\.gguf/)
  expect((await saqr(...args, 'f32')).err).toMatch(/F32-LORA\.gguf is there already/)
  expect((await saqr(...args, 'q4_k_m')).err).toMatch(/--gguf_adapter q4_k_m: .*The types are f32, f16, bf16, q8_0/)
})
