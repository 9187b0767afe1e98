/** Weights in FP8 and MXFP4 with scales for blocks, against what transformers makes of them. */
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { CpuDevice } from '../../src/devices/cpu/device.ts'
import { LanguageModel } from '../../src/engine/language-model.ts'
import { OpenedModel } from '../../src/engine/opened-model.ts'
import { saveTrained } from '../../src/engine/save.ts'
import { settle } from '../../src/engine/settle.ts'
import { openFolder } from '../../src/formats/folder.ts'
import { asF32, asU16, bf16ToF32, bytesOf } from '../../src/formats/numbers.ts'
import { writeSafetensors } from '../../src/formats/safetensors/write.ts'
import type { CheckpointTensor } from '../../src/formats/tensor.ts'
import { writeFileAtomic } from '../../src/hub/files.ts'
import { openCheckpoint } from '../../src/models/checkpoint.ts'
import { digest, fixture, recorded, temporary } from './fixtures.ts'

/** sha256 of the values in f32, and of those in bf16 as f32 */
type Digests = Record<string, [f32: string, bf16: string]>

const both = (t: CheckpointTensor) => [digest(t.load('f32')), digest(bytesOf(bf16ToF32(asU16(t.load('bf16')))))]

describe('scales of every kind', () => {
  const expected = recorded<Digests>('scaled.json')
  const { tensors } = openFolder(fixture('scaled'))

  test.each(Object.keys(expected))('%s', (name) => {
    const tensor = tensors.get(name)!
    expect(both(tensor)).toEqual(expected[name])
    const whole = asF32(tensor.load('f32'))
    const from = tensor.rows >> 1
    expect(asF32(tensor.load('f32', from, 1))).toEqual(whole.subarray(from * tensor.cols, (from + 1) * tensor.cols))
  })

  test('no trace is left of the parts', () => {
    expect([...tensors.keys()]).toEqual([...Object.keys(expected), 'norm.weight'].sort())
    expect(tensors.get('experts.gate_up_proj')).toMatchObject({
      shape: [2, 96, 6],
      rows: 192,
      cols: 6,
      storage: 'MXFP4',
      bytes: 2 * 6 * 3 * 17,
    })
    expect(tensors.get('even.weight')).toMatchObject({ shape: [48, 96], storage: 'F8_E4M3', bytes: 48 * 96 + 9 * 4 })
  })
})

describe('a model in FP8', () => {
  const folder = fixture('fp8')
  const expected = recorded<Digests>('fp8.json')

  test('has the weights that from_pretrained gives, and says what it was', () => {
    const { checkpoint, notes } = settle(openCheckpoint(folder))
    const digests = [...checkpoint.tensors].map(([name, t]) => [name, both(t)])
    expect(Object.fromEntries(digests)).toEqual(expected)
    expect(notes).toEqual([expect.stringContaining('its weights in F8_E4M3 are made floats of again')])
  })

  test.each([
    ['f32', false],
    ['bf16', false],
    ['bf16', true],
  ] as const)('opens in %s, 4 bits: %s; what is saved is dense and says so', async (dtype, loadIn4bit) => {
    const device = new CpuDevice({ threads: 1 })
    try {
      const opened = new OpenedModel(device, openCheckpoint(folder), { dtype, loadIn4bit, doubleQuant: false })
      const model = new LanguageModel(opened, { kind: 'none' }, 0)
      const out = join(temporary(), 'saved')
      await saveTrained(model, out)
      const saved = settle(openCheckpoint(out)).checkpoint
      expect(saved.config).toMatchObject({ model_type: 'deepseek_v3', dtype: dtype === 'f32' ? 'float32' : 'bfloat16' })
      expect(saved.config).not.toHaveProperty('quantization_config')
      const at = dtype === 'f32' ? 0 : 1
      expect([...saved.tensors.keys()].sort()).toEqual(Object.keys(expected).sort())
      for (const [name, t] of saved.tensors) {
        const kept = name.endsWith('e_score_correction_bias')
        expect([name, t.dtype, both(t)[0]]).toEqual([name, kept ? 'f32' : dtype, expected[name]![at]])
      }
    } finally {
      device.dispose()
    }
  })
})

/** a folder with one 8-bit weight of 4 × 6 */
async function write(changes: { codes?: object; scales?: object | null; config?: object }): Promise<string> {
  const folder = temporary()
  const codes = { name: 'm.weight', dtype: 'F8_E4M3', shape: [4, 6], data: new Uint8Array(24).fill(0x38), ...changes.codes }
  const scales = { name: 'm.weight_scale_inv', dtype: 'F32', shape: [1, 1], data: bytesOf(Float32Array.of(2)), ...changes.scales }
  writeFileAtomic(
    join(folder, 'config.json'),
    JSON.stringify({ model_type: 'llama', quantization_config: { quant_method: 'fp8' }, ...changes.config }),
  )
  await writeSafetensors(join(folder, 'model.safetensors'), changes.scales === null ? [codes] : [codes, scales])
  return folder
}
const config = (weight_block_size: unknown) => ({ config: { quantization_config: { quant_method: 'fp8', weight_block_size } } })
const two = { shape: [2, 1], data: bytesOf(Float32Array.of(2, 3)) }

describe('8-bit weights', () => {
  test('codes without a number stay such, and reach no neighbour', async () => {
    const data = new Uint8Array(24).fill(0x38)
    data[7] = 0x7f
    data[8] = 0xff
    const values = asF32(
      openFolder(await write({ codes: { data } }))
        .tensors.get('m.weight')!
        .load('f32'),
    )
    expect([...values.keys()].filter((i) => Number.isNaN(values[i]!))).toEqual([7, 8])
    expect(values.filter((x) => x === 2)).toHaveLength(22)
  })

  test.each([
    [{ scales: two, ...config([3, 128]) }, [2, 2, 2, 3]], // the last block is cut
    [{ scales: two, ...config([2, 128]) }, [2, 2, 3, 3]],
    [{ scales: two }, [2, 2, 3, 3]], // no grid of 128: evenly
    [{ scales: two, ...config([128, 128]) }, [2, 2, 3, 3]],
    [config(null), [2, 2, 2, 2]],
  ])('%j: rows belong to the blocks of the configuration, or to even ones', async (changes, rows) => {
    const values = asF32(
      openFolder(await write(changes))
        .tensors.get('m.weight')!
        .load('f32'),
    )
    expect([...values]).toEqual(rows.flatMap((row) => new Array(6).fill(row)))
  })

  test.each([
    [{ scales: null }, 'FORMAT_FP8', 'm.weight has no m.weight_scale_inv'],
    [{ scales: { shape: [3, 1], data: new Uint8Array(12) } }, 'FORMAT_FP8', '3 blocks of its 4 rows'],
    [{ scales: { shape: [1, 4], data: new Uint8Array(16) } }, 'FORMAT_FP8', '4 blocks of its 6 columns'],
    [{ scales: { shape: [2], data: new Uint8Array(8) } }, 'FORMAT_FP8', 'scales of the shape 2'],
    [{ codes: { shape: [2, 2, 6] } }, 'FORMAT_FP8', '2 × 2 × 6'],
    [config([0, 128]), 'FORMAT_FP8', 'weight_block_size [0, 128]'],
    [config('128'), 'FORMAT_FP8', 'weight_block_size "128"'],
    [
      { scales: null, config: { quantization_config: { quant_method: 'compressed-tensors' } } },
      'FORMAT_QUANTIZATION',
      'compressed-tensors',
    ],
  ])('%j is refused by name', async (changes, code, what) => {
    const folder = await write(changes)
    expect(() => openFolder(folder)).toThrow(expect.objectContaining({ code, message: expect.stringContaining(what) }))
  })

  test('scales of another type are refused when they are read', async () => {
    const folder = await write({ scales: { dtype: 'I32', data: new Uint8Array(4) } })
    expect(() => openFolder(folder).tensors.get('m.weight')!.load('f32')).toThrow(
      expect.objectContaining({ code: 'FORMAT_FP8', message: expect.stringContaining('is stored as I32') }),
    )
  })
})

describe('packed experts', () => {
  const open = async (blocks: object, scales: object | null) => {
    const folder = temporary()
    writeFileAtomic(join(folder, 'config.json'), JSON.stringify({ model_type: 'gpt_oss', quantization_config: { quant_method: 'mxfp4' } }))
    const packed = { name: 'e.down_proj_blocks', dtype: 'U8', shape: [1, 1, 1, 16], data: new Uint8Array(16).fill(0x71), ...blocks }
    const powers = { name: 'e.down_proj_scales', dtype: 'U8', shape: [1, 1, 1], data: Uint8Array.of(128), ...scales }
    await writeSafetensors(join(folder, 'model.safetensors'), scales === null ? [packed] : [packed, powers])
    return openFolder(folder)
  }

  test('the low nibble comes first; the largest power is infinite, as in transformers', async () => {
    const values = async (power: number) =>
      [...asF32((await open({}, { data: Uint8Array.of(power) })).tensors.get('e.down_proj')!.load('f32'))].slice(0, 2)
    expect(await values(128)).toEqual([1, 12])
    expect(await values(255)).toEqual([Infinity, Infinity])
  })

  test.each([
    [{}, null, 'has no e.down_proj_scales'],
    [{ shape: [1, 1, 2, 8] }, {}, '1 × 1 × 2 × 8'],
    [{ shape: [1, 16] }, {}, '1 × 16'],
    [{}, { shape: [1, 1] }, 'scales in U8 of the shape 1 × 1'],
    [{}, { dtype: 'I8' }, 'scales in I8'],
  ])('%j with %j are refused by name', async (blocks, scales, what) => {
    await expect(open(blocks, scales)).rejects.toThrow(
      expect.objectContaining({ code: 'FORMAT_MXFP4', message: expect.stringContaining(what) }),
    )
  })
})
