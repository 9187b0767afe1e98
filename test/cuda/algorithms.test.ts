/** cuBLASLt's algorithms between processes: those of the same library and card, whole or not at all. */
import { mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { Algorithms } from '../../src/devices/cuda/algorithms.ts'

const bytes = (first: number) => Uint8Array.from({ length: 96 }, (_, i) => (first + i) & 255)
const folder = () => mkdtempSync(join(tmpdir(), 'saqr-algorithms-'))
const fileIn = (path: string) => join(path, readdirSync(path)[0]!)

test('what one process was named the next one finds, 64 bytes of it', () => {
  const path = folder()
  const one = new Algorithms('13.0, a card', path)
  expect(one.get('a')).toBeUndefined()
  one.add('a', bytes(1))
  expect(one.get('a')).toEqual(bytes(1).subarray(0, 64))
  one.save()
  expect(new Algorithms('13.0, a card', path).get('a')).toEqual(bytes(1).subarray(0, 64))
  expect(new Algorithms('13.1, a card', path).get('a')).toBeUndefined()
})

test('processes side by side keep what each of them was named', () => {
  const path = folder()
  const [one, other] = [new Algorithms('x', path), new Algorithms('x', path)]
  one.add('a', bytes(1))
  other.add('b', bytes(2))
  one.save()
  other.save()
  const third = new Algorithms('x', path)
  expect([third.get('a')?.[0], third.get('b')?.[0]]).toEqual([1, 2])
})

test('a file that was changed, or is no such file, is as none; one that can’t be written costs nothing', () => {
  const path = folder()
  const one = new Algorithms('x', path)
  one.add('a', bytes(1))
  one.save()
  const file = fileIn(path)
  const text = readFileSync(file, 'utf8')
  writeFileSync(file, text.replace('AQID', 'AQIE'))
  expect(new Algorithms('x', path).get('a')).toBeUndefined()
  writeFileSync(file, '{"digest":')
  expect(new Algorithms('x', path).get('a')).toBeUndefined()
  const nowhere = new Algorithms('x', file)
  nowhere.add('a', bytes(3))
  nowhere.save()
  expect(nowhere.get('a')?.[0]).toBe(3)
})
