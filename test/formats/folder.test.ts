import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { readRows } from '../../src/data/files.ts'
import { asF32, bytesOf, f32ToBf16 } from '../../src/formats/numbers.ts'
import { writeSafetensors } from '../../src/formats/safetensors/write.ts'
import { openCheckpoint, readConfig } from '../../src/models/checkpoint.ts'
import { temporary } from './fixtures.ts'

const values = Float32Array.of(1, -2, 3.3333, 4e-9, 5, 6)
const tensors = [
  { name: 'm.bf16', dtype: 'BF16', shape: [2, 3], data: bytesOf(f32ToBf16(values)) },
  { name: 'm.f32', dtype: 'F32', shape: [3, 2], data: bytesOf(values) },
  { name: 'm.vector', dtype: 'F32', shape: [6], data: bytesOf(values) },
  { name: 'm.cube', dtype: 'F32', shape: [3, 1, 2], data: bytesOf(values) },
  { name: 'm.ids', dtype: 'I64', shape: [1], data: new Uint8Array(8) },
  { name: 'm.byte', dtype: 'U8', shape: [1], data: new Uint8Array(1) },
]

async function folder(files: Record<string, unknown>, weights = true): Promise<string> {
  const path = temporary()
  for (const [name, content] of Object.entries({ 'config.json': { model_type: 'llama' }, ...files })) {
    if (content === undefined) continue
    mkdirSync(join(path, name, '..'), { recursive: true })
    writeFileSync(join(path, name), typeof content === 'string' ? content : JSON.stringify(content))
  }
  if (weights) await writeSafetensors(join(path, 'model.safetensors'), tensors, { format: 'pt' })
  return path
}

describe('a model folder', () => {
  test('gives configuration and tensors, as matrices', async () => {
    const path = await folder({ 'generation_config.json': { eos_token_id: 2 } })
    const model = openCheckpoint(path)
    expect(model).toMatchObject({
      kind: 'safetensors',
      path,
      config: { model_type: 'llama' },
      generationConfig: { eos_token_id: 2 },
      tokenizer: undefined,
    })
    expect(readConfig(path)).toEqual({ model_type: 'llama' })
    expect(model.tensors.get('m.bf16')).toMatchObject({ rows: 2, cols: 3, dtype: 'bf16', storage: 'BF16', bytes: 12 })
    expect(model.tensors.get('m.vector')).toMatchObject({ rows: 1, cols: 6, shape: [6] })
    expect(model.tensors.get('m.cube')).toMatchObject({ rows: 3, cols: 2, shape: [3, 1, 2] })
    expect(model.tensors.get('m.f32')!.source).toMatchObject({ kind: 'file', path: join(path, 'model.safetensors') })
  })

  test('converts on loading: exact upwards, rounded once downwards', async () => {
    const { tensors } = openCheckpoint(await folder({}))
    expect(asF32(tensors.get('m.f32')!.load('f32'))).toEqual(values)
    expect(tensors.get('m.f32')!.load('bf16')).toEqual(tensors.get('m.bf16')!.load('bf16'))
    expect(asF32(tensors.get('m.bf16')!.load('f32'))[0]).toBe(1)
    expect(asF32(tensors.get('m.f32')!.load('f32', 1, 1))).toEqual(values.subarray(2, 4))
  })

  test('types that are no weights are kept by name and refused on loading', async () => {
    const { tensors } = openCheckpoint(await folder({}))
    expect(tensors.get('m.ids')).toMatchObject({ dtype: 'I64', source: undefined })
    for (const name of ['m.ids', 'm.byte'])
      expect(() => tensors.get(name)!.load('f32')).toThrow(expect.objectContaining({ code: 'FORMAT_DTYPE' }))
  })

  test('elements that are not aligned are loaded, not mapped', async () => {
    const path = await folder({}, false)
    const header = `{"a":{"dtype":"F32","shape":[6],"data_offsets":[0,24]}}`
    const length = Buffer.alloc(8)
    length.writeBigUInt64LE(BigInt(header.length + 2))
    writeFileSync(join(path, 'model.safetensors'), Buffer.concat([length, Buffer.from(`${header}  `), bytesOf(values)]))
    const tensor = openCheckpoint(path).tensors.get('a')!
    expect((8 + header.length + 2) % 4).not.toBe(0)
    expect(tensor.source).toBeUndefined()
    expect(asF32(tensor.load('f32'))).toEqual(values)
  })

  test('is refused by name where weights are missing, pickled or of an adapter', async () => {
    const refused = async (files: Record<string, unknown>, code: string) => {
      const path = await folder(files, false)
      expect(() => openCheckpoint(path)).toThrow(expect.objectContaining({ code }))
    }
    await refused({}, 'FORMAT_NO_WEIGHTS')
    await refused({ 'other.safetensors': '' }, 'FORMAT_NO_WEIGHTS')
    await refused({ 'pytorch_model.bin': '' }, 'FORMAT_PICKLE')
    await refused({ 'pytorch_model-00001-of-00002.bin': '' }, 'FORMAT_PICKLE')
    await refused({ 'config.json': undefined, 'adapter_config.json': {} }, 'FORMAT_NOT_A_MODEL')
    await refused({ 'config.json': undefined }, 'FORMAT_NOT_A_MODEL')
    await refused({ 'config.json': '{' }, 'FORMAT_JSON')
    expect(() => openCheckpoint(join(temporary(), 'none'))).toThrow(expect.objectContaining({ code: 'FORMAT_NOT_FOUND' }))
    const file = join(await folder({ 'x.bin': '' }), 'x.bin')
    expect(() => openCheckpoint(file)).toThrow(expect.objectContaining({ code: 'FORMAT_NOT_A_MODEL' }))
  })
})

describe('tokenizer files', () => {
  const tokenizerOf = async (files: Record<string, unknown>) =>
    openCheckpoint(await folder({ 'tokenizer.json': { model: {} }, ...files })).tokenizer!

  test('a template file counts before the one in tokenizer_config.json, that before chat_template.json', async () => {
    const config = { 'tokenizer_config.json': { chat_template: 'config', bos_token: '<s>' } }
    const json = { 'chat_template.json': { chat_template: 'json' } }
    expect((await tokenizerOf({ 'chat_template.jinja': 'file', ...config, ...json })).chatTemplate).toBe('file')
    const fromConfig = await tokenizerOf({ ...config, ...json })
    expect(fromConfig).toMatchObject({ chatTemplate: 'config', chatTemplates: {}, tokenizerConfig: { bos_token: '<s>' } })
    expect(fromConfig.tokenizerConfig).not.toHaveProperty('chat_template')
    expect((await tokenizerOf(json)).chatTemplate).toBe('json')
    expect((await tokenizerOf({})).chatTemplate).toBeUndefined()
  })

  test('named templates, in a list or as files', async () => {
    const named = await tokenizerOf({ 'tokenizer_config.json': { chat_template: [{ name: 'default', template: 'a' }, { name: 'tool_use', template: 'b' }] } }) // biome-ignore format: one line
    expect(named).toMatchObject({ chatTemplate: 'a', chatTemplates: { tool_use: 'b' } })
    const files = await tokenizerOf({ 'chat_template.jinja': 'a', 'additional_chat_templates/rag.jinja': 'c' })
    expect(files).toMatchObject({ chatTemplate: 'a', chatTemplates: { rag: 'c' } })
    await expect(tokenizerOf({ 'tokenizer_config.json': { chat_template: 7 } })).rejects.toMatchObject({ code: 'FORMAT_TOKENIZER' })
  })

  test('special_tokens_map.json counts where tokenizer_config.json does not list the added tokens', async () => {
    const map = { 'special_tokens_map.json': { eos_token: '</s>' } }
    expect((await tokenizerOf({ 'tokenizer_config.json': { eos_token: 'old' }, ...map })).tokenizerConfig.eos_token).toBe('</s>')
    const newer = { 'tokenizer_config.json': { eos_token: 'new', added_tokens_decoder: {} } }
    expect((await tokenizerOf({ ...newer, ...map })).tokenizerConfig.eos_token).toBe('new')
  })

  test('without tokenizer.json but with another kind: what to do', async () => {
    const path = await folder({ 'tokenizer.model': '' })
    expect(() => openCheckpoint(path).tokenizer).toThrow(
      expect.objectContaining({ code: 'FORMAT_TOKENIZER', message: expect.stringContaining('tokenizer.model') }),
    )
  })
})

describe('a quantization_config left over', () => {
  const floats = (name: string) => ({ name, dtype: 'F32', shape: [2, 3], data: bytesOf(values) })
  const write = async (method: object, more: { name: string; dtype: string; shape: number[]; data: Uint8Array }[] = []) => {
    const path = await folder({ 'config.json': { model_type: 'llama', quantization_config: method } }, false)
    await writeSafetensors(join(path, 'model.safetensors'), [floats('m.weight'), floats('m.bias'), ...more])
    return path
  }
  const methods = [
    { quant_method: 'bitsandbytes', load_in_8bit: true },
    { quant_method: 'bitsandbytes', load_in_4bit: true },
    { quant_method: 'gptq', bits: 4 },
    { quant_method: 'fp8' },
  ]

  test.each(methods)('over dense weights is no matter: %j', async (method) => {
    expect([...openCheckpoint(await write(method)).tensors.keys()]).toEqual(['m.bias', 'm.weight'])
  })

  test.each([
    { name: 'm.qweight', dtype: 'I32', shape: [1], data: new Uint8Array(4) },
    { name: 'n.weight', dtype: 'F8_E4M3', shape: [1], data: new Uint8Array(1) },
    { name: 'm.weight_scale', dtype: 'F32', shape: [1], data: new Uint8Array(4) },
  ])('is none beside $name', async (tensor) => {
    const path = await write({ quant_method: 'compressed-tensors' }, [tensor])
    expect(() => openCheckpoint(path)).toThrow(
      expect.objectContaining({ code: 'FORMAT_QUANTIZATION', message: expect.stringContaining('compressed-tensors') }),
    )
  })
})

describe('a git-lfs pointer', () => {
  const pointer = `version https://git-lfs.github.com/spec/v1\noid sha256:${'0'.repeat(64)}\nsize 12345\n`
  const refused = expect.objectContaining({ code: 'FORMAT_LFS_POINTER', message: expect.stringContaining('git lfs pull') })

  test.each(['config.json', 'model.safetensors', 'model.safetensors.index.json', 'tokenizer.json'])('%s', async (name) => {
    const path = await folder({ [name]: pointer }, name !== 'model.safetensors' && name !== 'model.safetensors.index.json')
    expect(() => openCheckpoint(path).tokenizer).toThrow(refused)
  })

  test.each(['rows.jsonl', 'rows.json', 'rows.csv', 'rows.parquet', 'model.gguf'])('%s', async (name) => {
    const path = join(await folder({ [name]: pointer }), name)
    if (name.endsWith('.gguf')) expect(() => openCheckpoint(path)).toThrow(refused)
    else await expect(readRows(path)).rejects.toThrow(refused)
  })
})
