import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { readRange } from '../../src/formats/files.ts'
import { readSafetensors, readShards } from '../../src/formats/safetensors/read.ts'
import { type TensorToWrite, writeSafetensors } from '../../src/formats/safetensors/write.ts'
import { fixture, safetensorsBytes, temporary } from './fixtures.ts'

const mixed = fixture('mixed.safetensors')

function toWrite(path: string): TensorToWrite[] {
  return [...readSafetensors(path).tensors].map(([name, { dtype, shape, offset, bytes }]) => ({
    name,
    dtype,
    shape,
    data: readRange(path, offset, bytes),
  }))
}

describe('a file of every element type', () => {
  test('reads as it was written', () => {
    const { metadata, tensors } = readSafetensors(mixed)
    expect(metadata).toEqual({ format: 'pt' })
    expect(tensors.get('scalar')).toMatchObject({ dtype: 'F32', shape: [], bytes: 4 })
    expect(new DataView(readRange(mixed, tensors.get('scalar')!.offset, 4).buffer).getFloat32(0, true)).toBe(1.5)
    expect(tensors.get('empty')).toMatchObject({ shape: [0, 4], bytes: 0 })
    expect([...tensors.values()].map(({ dtype }) => dtype)).toEqual(
      expect.arrayContaining(['F64', 'F16', 'BF16', 'I64', 'I32', 'I16', 'I8', 'U8', 'BOOL', 'F8_E4M3', 'F8_E5M2']),
    )
  })

  test('comes out byte for byte as the Rust library writes it', async () => {
    const path = join(temporary(), 'x.safetensors')
    const written = await writeSafetensors(path, toWrite(mixed).reverse(), { format: 'pt' })
    expect(readFileSync(path).equals(readFileSync(mixed))).toBe(true)
    expect(written).toBe(readFileSync(mixed).length)
  })

  test('may be given in chunks, made when their turn comes', async () => {
    const path = join(temporary(), 'x.safetensors')
    const order: string[] = []
    const chunked = toWrite(mixed).map((tensor) => ({
      ...tensor,
      data: async function* () {
        order.push(tensor.name)
        const bytes = tensor.data as Uint8Array
        for (let i = 0; i < bytes.length; i += 3) yield bytes.subarray(i, i + 3)
      },
    }))
    await writeSafetensors(path, chunked, { format: 'pt' })
    expect(readFileSync(path).equals(readFileSync(mixed))).toBe(true)
    expect(order.length).toBe(chunked.length)
  })

  test('is not written where tensors are not what is said of them', async () => {
    const path = join(temporary(), 'x.safetensors')
    const refused = (tensors: TensorToWrite[]) =>
      expect(writeSafetensors(path, tensors)).rejects.toMatchObject({ code: 'FORMAT_SAFETENSORS_WRITE' })
    const one = { name: 'a', dtype: 'F32', shape: [1], data: new Uint8Array(4) }
    await refused([{ ...one, data: new Uint8Array(3) }])
    await refused([{ ...one, data: () => [new Uint8Array(8)] }])
    await refused([one, one])
    await refused([{ ...one, name: '__metadata__' }])
    await refused([{ ...one, dtype: 'F33' }])
    await refused([{ ...one, shape: [-1] }])
  })
})

describe('a file that is not sound', () => {
  const entry = (from: number, to: number, more = '') => `{"dtype":"U8","shape":[${to - from}],"data_offsets":[${from},${to}]${more}}`
  const four = new Uint8Array(4)
  const cases: [string, string, Buffer][] = [
    ['is empty', 'too few', Buffer.alloc(0)],
    ['ends within its header', 'cut short', safetensorsBytes('{"a":1}').subarray(0, 12)],
    ['announces a huge header', 'header of', Buffer.from('ffffffffffffffff', 'hex')],
    ['announces more than is allowed', 'at most', Buffer.concat([Buffer.from([0, 0, 0, 0x10, 0, 0, 0, 0]), four])],
    ['begins its header with a space', 'start with {', safetensorsBytes(' {}')],
    ['has a header that is no JSON', 'not valid JSON', safetensorsBytes('{"a"')],
    [
      'has a header that is not UTF-8',
      'UTF-8',
      Buffer.concat([safetensorsBytes('{"a').subarray(0, 11), Buffer.from([0xff, 0x22])]).fill(5, 0, 1),
    ],
    ['has metadata of numbers', 'metadata', safetensorsBytes('{"__metadata__":{"a":1}}')],
    ['names a tensor twice', 'twice', safetensorsBytes(`{"a":${entry(0, 2)},"a":${entry(2, 4)}}`, four)],
    ['names a tensor twice in disguise', 'twice', safetensorsBytes(`{"a":${entry(0, 2)},"\\u0061":${entry(2, 4)}}`, four)],
    ['names a tensor __proto__', '__proto__', safetensorsBytes(`{"__proto__":${entry(0, 4)}}`, four)],
    ['lets tensors overlap', 'overlaps', safetensorsBytes(`{"a":${entry(0, 3)},"b":${entry(2, 4)}}`, four)],
    ['leaves a hole', 'hole', safetensorsBytes(`{"a":${entry(0, 1)},"b":${entry(2, 4)}}`, four)],
    ['begins with a hole', 'hole', safetensorsBytes(`{"a":${entry(1, 4)}}`, four)],
    ['ends early', 'cut short', safetensorsBytes(`{"a":${entry(0, 5)}}`, four)],
    ['has bytes left over', 'after its last', safetensorsBytes(`{"a":${entry(0, 3)}}`, four)],
    ['lies about a size', 'takes 16', safetensorsBytes('{"a":{"dtype":"F32","shape":[4],"data_offsets":[0,4]}}', four)],
    [
      'has a size beyond 2^53',
      'impossible',
      safetensorsBytes('{"a":{"dtype":"U8","shape":[4294967296,4294967296,0],"data_offsets":[0,0]}}'),
    ],
    ['has offsets the wrong way round', 'offsets|takes', safetensorsBytes('{"a":{"dtype":"U8","shape":[4],"data_offsets":[4,0]}}', four)],
    ['has a negative size', 'whole numbers', safetensorsBytes('{"a":{"dtype":"U8","shape":[-4],"data_offsets":[0,4]}}', four)],
    ['writes 4.0 for 4', 'whole numbers', safetensorsBytes('{"a":{"dtype":"U8","shape":[4.0],"data_offsets":[0,4]}}', four)],
    ['has an unknown type', 'unknown type', safetensorsBytes('{"a":{"dtype":"constructor","shape":[4],"data_offsets":[0,4]}}', four)],
    ['has an unknown field', 'unknown field', safetensorsBytes(`{"a":${entry(0, 4, ',"x":1')}}`, four)],
  ]
  test.each(cases)('%s', (_, message, bytes) => {
    const path = join(temporary(), 'x.safetensors')
    writeFileSync(path, bytes)
    expect(() => readSafetensors(path)).toThrow(
      expect.objectContaining({ name: 'SaqrError', message: expect.stringMatching(new RegExp(message)) }),
    )
  })
})

describe('shards', () => {
  const part = (name: string) => safetensorsBytes(`{"${name}":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}`, new Uint8Array(1))
  function folder(map: unknown, files: Record<string, Buffer> = { '1.safetensors': part('a'), '2.safetensors': part('b') }): string {
    const path = temporary()
    for (const [name, bytes] of Object.entries(files)) writeFileSync(join(path, name), bytes)
    writeFileSync(join(path, 'model.safetensors.index.json'), JSON.stringify({ weight_map: map }))
    return join(path, 'model.safetensors.index.json')
  }

  test('are put together', () => {
    const tensors = readShards(folder({ a: '1.safetensors', b: '2.safetensors' }))
    expect([...tensors.keys()]).toEqual(['a', 'b'])
    expect(tensors.get('b')!.path).toMatch(/2\.safetensors$/)
  })

  // the index says which files there are, they say what is in them
  test.each([
    ['a tensor that is elsewhere', { a: '2.safetensors', b: '1.safetensors' }, ['a', 'b']],
    ['a tensor that is nowhere', { a: '1.safetensors', b: '2.safetensors', c: '2.safetensors' }, ['a', 'b']],
    ['too little of a shard', { a: '2.safetensors' }, ['b']],
  ])('whose index names %s are read as transformers reads them', (_, map, names) => {
    expect([...readShards(folder(map)).keys()].sort()).toEqual(names)
  })

  test('that hold a tensor twice are refused', () => {
    const twice = folder({ a: '1.safetensors', b: '2.safetensors' }, { '1.safetensors': part('a'), '2.safetensors': part('a') })
    expect(() => readShards(twice)).toThrow(
      expect.objectContaining({ code: 'FORMAT_SAFETENSORS_INDEX', message: expect.stringContaining('both hold a') }),
    )
  })

  test('that are missing are named', () => {
    expect(() => readShards(folder({ a: '1.safetensors', c: '3.safetensors' }))).toThrow(
      expect.objectContaining({ code: 'FORMAT_SHARD_MISSING', message: expect.stringContaining('3.safetensors') }),
    )
  })

  test.each([
    ['another folder', { a: '../1.safetensors' }],
    ['an absolute path', { a: '/etc/1.safetensors' }],
    ['a hidden file', { a: '.1.safetensors' }],
    ['no name', { a: 1 }],
    ['another kind of file', { a: 'pytorch_model.bin' }],
    ['nothing', {}],
  ])('whose index names %s are refused', (_, map) => {
    expect(() => readShards(folder(map))).toThrow(expect.objectContaining({ code: 'FORMAT_SAFETENSORS_INDEX' }))
  })
})
