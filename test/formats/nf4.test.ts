import { cpSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { nativeQuantiser } from '../../src/devices/cpu/quantise.ts'
import { nf4FileTensors, quantiseTensor } from '../../src/formats/bnb-write.ts'
import { dynamicMap, quantise8Bit } from '../../src/formats/dynamic-map.ts'
import { readRange } from '../../src/formats/files.ts'
import { dequantiseNf4, nestAbsmax, nf4Bounds, nf4Codebook, quantiseNf4 } from '../../src/formats/nf4.ts'
import { asF32, bytesOf, f16ToF32, f32ToBf16, f32ToF16 } from '../../src/formats/numbers.ts'
import { readSafetensors } from '../../src/formats/safetensors/read.ts'
import { writeSafetensors } from '../../src/formats/safetensors/write.ts'
import type { CheckpointTensor } from '../../src/formats/tensor.ts'
import { openCheckpoint } from '../../src/models/checkpoint.ts'
import { digest, exactWeights, fixture, recorded, temporary } from './fixtures.ts'

type Recorded = Record<string, { shape: [number, number]; dtype: string; values: string; absmax: string; packed: string }>
const expected = recorded<Recorded>('nf4.json')
const folder = fixture('nf4')

/** The weights the checkpoint was made from, rounded to their type. */
function weightsOf(name: string): Float32Array | Uint16Array {
  const { shape, dtype } = expected[name]!
  const values = exactWeights(shape[0] * shape[1])
  if (dtype === 'torch.bfloat16') return f32ToBf16(values)
  return dtype === 'torch.float16' ? f16ToF32(f32ToF16(values)) : values
}

describe('a bitsandbytes checkpoint', () => {
  const model = openCheckpoint(folder)

  test.each(Object.keys(expected))('%s has the values that bitsandbytes gives', (name) => {
    const tensor = model.tensors.get(`${name}.weight`)!
    expect(tensor).toMatchObject({ dtype: 'nf4', rows: expected[name]!.shape[0], cols: expected[name]!.shape[1] })
    expect(digest(tensor.load('f32'))).toBe(expected[name]!.values)
  })

  test('holds no trace of the parts it was put together from', () => {
    expect([...model.tensors.keys()]).toEqual(['nested.weight', 'norm.weight', 'plain.weight', 'small.weight'])
  })

  test('loads rows in part', () => {
    const tensor = model.tensors.get('nested.weight')!
    const whole = asF32(tensor.load('f32'))
    // 448 weights a row: row 39 lies in the second nested block
    expect(digest(tensor.load('f32', 39, 1))).toBe(digest(bytesOf(whole.subarray(39 * 448))))
    const odd = model.tensors.get('plain.weight')!
    expect(digest(odd.load('f32', 4, 3))).toBe(digest(bytesOf(asF32(odd.load('f32')).subarray(4 * 17, 7 * 17))))
  })

  test('gives a device what it needs', () => {
    const { source, quant } = model.tensors.get('nested.weight')!
    const { tensors } = readSafetensors(source!.path)
    expect(source!.offset).toBe(tensors.get('nested.weight')!.offset)
    expect(quant).toMatchObject({ blocksize: 64, dtype: 'bf16', nested: { blocksize: 256 } })
    expect(quant!.absmax).toEqual({ kind: 'file', path: source!.path, offset: tensors.get('nested.weight.absmax')!.offset })
    expect(quant!.nested!.code).toEqual(dynamicMap(true))
    expect(model.tensors.get('plain.weight')!.quant!.nested).toBeUndefined()
  })
})

describe('quantising', () => {
  test.each(Object.keys(expected))('%s: codes and absmax as bitsandbytes makes them', (name) => {
    const { packed, absmax } = quantiseNf4(weightsOf(name))
    expect(digest(packed)).toBe(expected[name]!.packed)
    expect(digest(bytesOf(absmax))).toBe(expected[name]!.absmax)
  })

  test('every threshold decides as it should, from both sides', () => {
    // a 1 in the block makes absmax 1, so that the others are compared as they are
    for (let i = 0; i < 15; i++) {
      const bound = Math.fround(nf4Codebook[i]! + nf4Codebook[i + 1]!) / 2
      const up = asF32(bytesOf(Uint32Array.of(asU32(bound) + (bound < 0 ? -1 : 1))))[0]!
      const block = new Float32Array(64)
      block.set([1, bound, up])
      const { packed } = quantiseNf4(block)
      expect([packed[0]! & 15, packed[1]! >> 4]).toEqual([i, i + 1])
    }
  })

  test('zeros stay zeros, also where a block holds nothing else', () => {
    const { packed, absmax } = quantiseNf4(new Float32Array(130))
    expect(dequantiseNf4(packed, absmax, 64, 0, 130)).toEqual(new Float32Array(130))
  })

  test('a value that is not finite is refused, and where', () => {
    const values = new Float32Array(200)
    values[150] = Number.NaN
    expect(() => quantiseNf4(values)).toThrow(
      expect.objectContaining({ code: 'FORMAT_NF4', message: expect.stringContaining('128 to 191') }),
    )
    values[150] = Number.NEGATIVE_INFINITY
    expect(() => quantiseNf4(values)).toThrow(expect.objectContaining({ code: 'FORMAT_NF4' }))
  })

  test('absmax in 8 bits: as bitsandbytes, but for the few codes its CPU kernel looks up inexactly', () => {
    const { absmax } = quantiseNf4(weightsOf('nested'))
    const nested = nestAbsmax(absmax)
    const { tensors } = readSafetensors(join(folder, 'model.safetensors'))
    const read = (part: string) => {
      const { offset, bytes } = tensors.get(`nested.weight.${part}`)!
      return readRange(join(folder, 'model.safetensors'), offset, bytes)
    }
    const codes = read('absmax')
    const off = nested.codes.map((code, i) => Math.abs(code - codes[i]!))
    expect(Math.max(...off)).toBeLessThanOrEqual(1)
    expect(off.filter((d) => d > 0).length).toBeLessThanOrEqual(3)
    // a mean of 280 values, summed in another order: a few units in the last of 24 bits
    const offset = openCheckpoint(folder).tensors.get('nested.weight')!.quant!.nested!.offset
    expect(Math.abs(nested.offset - offset) / offset).toBeLessThan(1e-6)
    const scales = asF32(read('nested_absmax'))
    expect(Math.max(...nested.absmax.map((value, i) => Math.abs(value / scales[i]! - 1)))).toBeLessThan(1e-6)
  })

  test('8 bits: the nearest code, the lower one where two are as near', () => {
    const map = dynamicMap(true)
    const values = Float32Array.from({ length: 1000 }, (_, i) => Math.sin(i * i))
    const { codes, absmax } = quantise8Bit(values, map, 256)
    values.forEach((value, i) => {
      const x = value / absmax[i >> 8]!
      const best = Math.min(...map.map((code) => Math.abs(code - x)))
      expect(Math.abs(map[codes[i]!]! - x)).toBeLessThan(best + 1e-7)
    })
    const signed = quantise8Bit(Float32Array.of(1, 0, Math.fround(map[200]! + map[201]!) / 2), map, 256)
    expect([...signed.codes]).toEqual([255, 127, 200])
  })
})

describe('writing', () => {
  test('gives the file back that was read', async () => {
    const path = join(temporary(), 'model.safetensors')
    const tensors = Object.keys(expected).flatMap((name) => {
      const values = weightsOf(name)
      const { shape, dtype } = expected[name]!
      const tensor: CheckpointTensor = {
        ...openCheckpoint(folder).tensors.get(`${name}.weight`)!,
        load: (to, from = 0, count = shape[0]) => rows(values, shape[1], to, from, count),
      }
      const quantised = quantiseTensor(tensor, { dtype: dtype === 'torch.bfloat16' ? 'bf16' : 'f32', nested: name === 'nested' })
      if (dtype === 'torch.float16') quantised.quant.dtype = 'f16'
      return nf4FileTensors(quantised)
    })
    const norm = { name: 'norm.weight', dtype: 'BF16', shape: [4], data: bytesOf(f32ToBf16(Float32Array.of(1, 1, 1, 1))) }
    await writeSafetensors(path, [...tensors, norm], { format: 'pt' })
    const [ours, theirs] = [readSafetensors(path).tensors, readSafetensors(join(folder, 'model.safetensors')).tensors]
    const bytes = (file: string, { offset, bytes }: { offset: number; bytes: number }) => digest(readRange(file, offset, bytes))
    expect([...ours.keys()].sort()).toEqual([...theirs.keys()].sort())
    for (const [name, entry] of theirs) {
      expect(ours.get(name)).toMatchObject({ dtype: entry.dtype, shape: entry.shape })
      // 8-bit codes and their scales may differ in the last place, and the offset in the state with them
      if (/^nested\.weight\.(absmax|nested_absmax|quant_state.*)$/.test(name)) continue
      expect([name, bytes(path, ours.get(name)!)]).toEqual([name, bytes(join(folder, 'model.safetensors'), entry)])
    }
  })
})

function rows(values: Float32Array | Uint16Array, cols: number, to: string, from: number, count: number): Uint8Array {
  expect(values instanceof Uint16Array ? 'bf16' : 'f32').toBe(to)
  return bytesOf(values.slice(from * cols, (from + count) * cols))
}

const asU32 = (x: number) => new Uint32Array(Float32Array.of(x).buffer)[0]!

describe('a checkpoint that is not sound', () => {
  async function open(change: (tensors: Map<string, { name: string; dtype: string; shape: readonly number[]; data: Uint8Array }>) => void) {
    const path = temporary()
    cpSync(folder, path, { recursive: true })
    const file = join(folder, 'model.safetensors')
    const tensors = new Map(
      [...readSafetensors(file).tensors].map(([name, { dtype, shape, offset, bytes }]) => [
        name,
        { name, dtype, shape, data: readRange(file, offset, bytes) },
      ]),
    )
    change(tensors)
    await writeSafetensors(join(path, 'model.safetensors'), tensors.values())
    return openCheckpoint(path)
  }
  const state = 'plain.weight.quant_state.bitsandbytes__nf4'
  const edit = (from: string, to: string) => (tensors: Map<string, { shape: readonly number[]; data: Uint8Array }>) => {
    const json = Buffer.from(Buffer.from(tensors.get(state)!.data).toString().replace(from, to))
    Object.assign(tensors.get(state)!, { data: json, shape: [json.length] })
  }

  test.each([
    ['without absmax', /absmax/, (tensors) => tensors.delete('plain.weight.absmax')],
    ['without packed weights', /no packed weights/, (tensors) => tensors.delete('plain.weight')],
    ['with a lying shape', /packs/, edit('[9, 17]', '[9, 18]')],
    ['with an absurd shape', /shape/, edit('[9, 17]', '[9e9, 17e9]')],
    ['with a block size of 63', /block size/, edit('64', '63')],
    ['with another type inside', /not of type nf4/, edit('"nf4"', '"fp4"')],
    ['with a state that is no JSON', /not valid JSON/, edit('{', '')],
    ['with another code book', /code book/, (tensors) => tensors.get('plain.weight.quant_map')!.data.fill(0)],
  ] as [string, RegExp, Parameters<typeof open>[0]][])('%s', async (_, message, change) => {
    await expect(open(change)).rejects.toMatchObject({ name: 'SaqrError', message: expect.stringMatching(message) })
  })

  test('FP4 and 8 bits are refused by name', async () => {
    const rename = (to: string) => open((tensors) => tensors.set(to, { name: to, dtype: 'U8', shape: [1], data: new Uint8Array(1) }))
    await expect(rename('x.weight.quant_state.bitsandbytes__fp4')).rejects.toMatchObject({
      code: 'FORMAT_QUANTIZATION',
      message: expect.stringContaining('FP4'),
    })
    await expect(rename('x.SCB')).rejects.toMatchObject({ code: 'FORMAT_QUANTIZATION', message: expect.stringContaining('8-bit') })
  })

  test.each([
    ['gptq', { quant_method: 'gptq', bits: 4 }],
    ['bitsandbytes 8-bit', { quant_method: 'bitsandbytes', load_in_8bit: true }],
    ['bitsandbytes fp4', { quant_method: 'bitsandbytes', load_in_4bit: true, bnb_4bit_quant_type: 'fp4' }],
  ])('%s in config.json too', (name, quantization_config) => {
    const path = temporary()
    cpSync(folder, path, { recursive: true })
    const config = JSON.parse(readFileSync(join(path, 'config.json'), 'utf8'))
    writeFileSync(join(path, 'config.json'), JSON.stringify({ ...config, quantization_config }))
    expect(() => openCheckpoint(path)).toThrow(
      expect.objectContaining({ code: 'FORMAT_QUANTIZATION', message: expect.stringContaining(name) }),
    )
  })
})

describe('made by native code', () => {
  const random = (n: number, seed: number) => {
    let state = seed
    return Float32Array.from({ length: n }, () => (state = (state * 48271) % 2147483647) / 2147483647 - 0.5)
  }
  /** every kind of value a block may have: zeros, one bound exactly, tiny, huge, negative zero */
  const odd = Float32Array.from({ length: 640 }, (_, i) => [0, -0, 1, -1, 1e-40, -3e38, 0.5, nf4Bounds[i % 15]!][Math.floor(i / 80)]!)
  const bits = (values: Float32Array) => new Uint16Array(values.buffer).filter((_, i) => i % 2 === 1)

  test.each([1, 63, 64, 65, 130, 4099, 300_001])('the same bytes: %i weights', (n) => {
    for (const values of [random(n, n), random(n, n + 1).map((x) => x ** 5), odd.subarray(0, n)]) {
      for (const form of [values, bits(values.slice())]) expect(nativeQuantiser.quantise(form)).toEqual(quantiseNf4(form))
      const absmax = values.map(Math.abs)
      expect(nestAbsmax(absmax, nativeQuantiser)).toEqual(nestAbsmax(absmax))
    }
  })

  test('a value that is not finite is told in the same words', () => {
    for (const bad of [NaN, Infinity, -Infinity]) {
      const values = random(200_000, 7)
      values[150_001] = bad
      const told = (by: () => unknown) => {
        try {
          by()
        } catch (error) {
          return (error as Error).message
        }
      }
      const theirs = told(() => nativeQuantiser.quantise(values))
      expect(theirs).toMatch(/^Weights 149952 to 150015 hold a value that is not finite/)
      expect(theirs).toBe(told(() => quantiseNf4(values)))
    }
  })
})
