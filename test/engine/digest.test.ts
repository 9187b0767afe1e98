/** What guards a resumed run's base: the digest's definition in whole numbers, held on every variant, and files whose every value counts. */
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { DIGEST_CHUNK, digestsOf } from '../../src/devices/cpu/digest.ts'
import { nativeLibrary } from '../../src/devices/cpu/library.ts'
import { dequantised } from '../../src/engine/computed-base.ts'
import { digestOfBase } from '../../src/engine/digest.ts'
import { readSafetensors } from '../../src/formats/safetensors/read.ts'
import { storedBytes } from '../../src/formats/stored.ts'
import type { Checkpoint } from '../../src/formats/tensor.ts'
import { openCheckpoint } from '../../src/models/checkpoint.ts'

const MASK = 2n ** 64n - 1n
const [ODD, MIX, MIX2] = [0x9e3779b97f4a7c15n, 0xd6e8feb86659fd93n, 0xff51afd7ed558ccdn]
const LANES = 32

const times = (x: bigint, y: bigint) => (x * y) & MASK
const rotate = (x: bigint, n: bigint) => ((x << n) | (x >> (64n - n))) & MASK
const mix = (x: bigint) => {
  let y = times(x ^ (x >> 32n), MIX)
  y = times(y ^ (y >> 29n), MIX2)
  return y ^ (y >> 32n)
}

/** of a chunk, as native/digest.cpp says it */
function defined(bytes: Uint8Array): Uint8Array {
  const padded = new Uint8Array(Math.ceil(bytes.length / (8 * LANES)) * 8 * LANES)
  padded.set(bytes)
  const words = new BigUint64Array(padded.buffer)
  const products = Array.from({ length: LANES }, (_, j) => times(BigInt(j + 1), ODD))
  const sums = new Array<bigint>(LANES).fill(0n)
  for (const [i, x] of words.entries()) {
    const j = i % LANES
    products[j] = times(rotate(products[j]! ^ x, 29n), ODD)
    sums[j] = (rotate(sums[j]!, 7n) + x) & MASK
  }
  let a = mix((BigInt(bytes.length) + ODD) & MASK)
  let b = mix(a)
  for (let j = 0; j < LANES; j++) {
    a = mix(a ^ products[j]!)
    b = mix(((b ^ sums[j]!) + a) & MASK)
  }
  return new Uint8Array(BigUint64Array.of(a, b).buffer)
}

const noise = (n: number, seed = 1) => {
  let x = seed
  return Uint8Array.from({ length: n }, () => (x = (Math.imul(x, 1664525) + 1013904223) >>> 0) >>> 24)
}

const variants = (
  JSON.parse(readFileSync(join(import.meta.dirname, '../../native/build/variants.json'), 'utf8')) as { name: string }[]
).flatMap(({ name }) => {
  try {
    return [{ name, native: nativeLibrary(name).native }]
  } catch {
    return [] // not of this processor
  }
})

describe('the digest', () => {
  it.each([0, 1, 7, 8, 255, 256, 257, 4096 + 13])('of %i bytes is its definition, on every variant that runs here', (n) => {
    expect(variants.length).toBeGreaterThan(0)
    for (const { name, native } of variants) {
      for (const skew of [0, 3]) {
        const bytes = noise(n + skew).subarray(skew)
        const out = new Uint8Array(16)
        if (n > 0) native.digest(bytes, n, out)
        expect(out, name).toEqual(n > 0 ? defined(bytes) : new Uint8Array(16))
      }
    }
  })

  it('of more than a chunk is one of each', () => {
    const bytes = noise(2 * DIGEST_CHUNK + 100)
    const parts = [0, 1, 2].map((i) => digestsOf(bytes.subarray(i * DIGEST_CHUNK, (i + 1) * DIGEST_CHUNK)))
    expect(digestsOf(bytes)).toEqual(new Uint8Array(Buffer.concat(parts)))
    expect(digestsOf(new Uint8Array())).toHaveLength(0)
    expect(digestsOf(new Uint8Array(5))).not.toEqual(digestsOf(new Uint8Array(6)))
  })

  it('sees each bit, signs that change in pairs, and what changes places', () => {
    const bytes = noise(1024)
    const seen = new Set([Buffer.from(digestsOf(bytes)).toString('hex')])
    const look = (change: (copy: Uint8Array) => void) => {
      const copy = bytes.slice()
      change(copy)
      seen.add(Buffer.from(digestsOf(copy)).toString('hex'))
    }
    const flip = (copy: Uint8Array, at: number, bit: number) => {
      copy[at]! ^= bit
    }
    for (let bit = 0; bit < 8 * 1024; bit++) look((copy) => flip(copy, bit >> 3, 1 << (bit & 7)))
    for (let i = 0; i < 128; i++)
      for (const far of [1, 2, 4, 64, 100])
        look((copy) => {
          for (const float of [i, i + far]) flip(copy, 4 * float + 3, 128)
        })
    // a word's bit that its product moves to where the lane's next word has its highest
    for (let i = 0; i < 96; i++)
      look((copy) => {
        flip(copy, 8 * i + 4, 4)
        flip(copy, 8 * i + 256 + 7, 128)
      })
    for (let i = 0; i < 127; i++)
      look((copy) => {
        copy.set(bytes.subarray(8 * i + 8, 8 * i + 16), 8 * i)
        copy.set(bytes.subarray(8 * i, 8 * i + 8), 8 * i + 8)
      })
    expect(seen.size).toBe(1 + 8 * 1024 + 128 * 5 + 96 + 127)
  })
})

describe('of a base', () => {
  const work = mkdtempSync(join(tmpdir(), 'saqr-digest-'))
  afterAll(() => rmSync(work, { recursive: true }))
  const model = join(import.meta.dirname, '../fixtures/training/evaluation/model')

  it('is of every value, wherever it is moved', async () => {
    const [moved, other] = [join(work, 'moved'), join(work, 'other')]
    for (const to of [moved, other]) cpSync(model, to, { recursive: true })
    const digest = await digestOfBase(openCheckpoint(model))
    expect(await digestOfBase(openCheckpoint(moved))).toBe(digest)
    expect(await digestOfBase(openCheckpoint(moved), { beside: true })).toBe(digest)
    const file = join(other, 'model.safetensors')
    const bytes = readFileSync(file)
    const digests = new Set([digest])
    const tensors = [...readSafetensors(file).tensors.values()]
    for (const { offset, bytes: size } of tensors) {
      const at = offset + Math.floor(size / 2) // in the middle: no first, last or third row
      bytes[at]! ^= 1
      writeFileSync(file, bytes)
      digests.add(await digestOfBase(openCheckpoint(other)))
      bytes[at]! ^= 1
    }
    expect(digests.size).toBe(tensors.length + 1)
  })

  it('knows values that are computed by what they are, not by the file they come from', async () => {
    const checkpoint = openCheckpoint(model)
    const [name, tensor] = [...checkpoint.tensors].find(([, { rows, cols }]) => rows * cols >= 64)!
    const changed = dequantised(tensor, { opened: { choice: { dtype: 'f32', doubleQuant: false } } } as never)
    expect([storedBytes(tensor)?.length, storedBytes({ ...tensor, name: 'another' })?.length, storedBytes(changed)]).toEqual([
      1,
      1,
      undefined,
    ])
    const over = (t: typeof tensor): Checkpoint => ({ ...checkpoint, tensors: new Map([...checkpoint.tensors, [name, t]]) }) as Checkpoint
    expect(await digestOfBase(over(changed))).not.toBe(await digestOfBase(over({ ...tensor })))
    expect(await digestOfBase(over({ ...tensor }))).toBe(await digestOfBase(checkpoint))
  })

  it('ends where it is told to, and says which file was cut or written to since it was opened', async () => {
    await expect(digestOfBase(openCheckpoint(model), { signal: AbortSignal.abort(new Error('enough')) })).rejects.toThrow('enough')
    const cut = join(work, 'cut')
    cpSync(model, cut, { recursive: true })
    const checkpoint = openCheckpoint(cut)
    writeFileSync(join(cut, 'model.safetensors'), readFileSync(join(cut, 'model.safetensors')).subarray(0, 2000))
    await expect(digestOfBase(checkpoint)).rejects.toMatchObject({
      code: 'FORMAT_CHANGED',
      message: expect.stringContaining(join(cut, 'model.safetensors')),
    })
    const changed = join(work, 'changed')
    cpSync(model, changed, { recursive: true })
    const before = openCheckpoint(changed)
    const bytes = readFileSync(join(changed, 'model.safetensors'))
    bytes[bytes.length - 1]! ^= 1
    writeFileSync(join(changed, 'model.safetensors'), bytes)
    await expect(digestOfBase(before)).rejects.toMatchObject({ code: 'FORMAT_CHANGED' })
    expect(await digestOfBase(openCheckpoint(changed))).not.toBe(await digestOfBase(openCheckpoint(model)))
  })
})
