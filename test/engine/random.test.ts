/** What adapters begin with: a function of seed, name and count, however many are drawn at once. */
import { expect, test } from 'vitest'
import { SeededRandom } from '../../src/engine/random.ts'

test('a tensor filled at once has the numbers that are drawn one by one, and what is drawn behind it goes on', () => {
  const one = new SeededRandom(42, 'layers.0.q_proj.lora_A')
  const other = new SeededRandom(42, 'layers.0.q_proj.lora_A')
  const drawn = Float32Array.from({ length: 1000 }, () => (2 * one.uniform() - 1) * 0.03)
  expect(other.fillUniform(new Float32Array(1000), 0.03)).toEqual(drawn)
  expect(other.uniform()).toBe(one.uniform())
})

test('no number is beyond its bound, and their mean and spread are those of a uniform one', () => {
  const values = new SeededRandom(7, 'x').fillUniform(new Float32Array(100_000), 0.5)
  const mean = values.reduce((sum, x) => sum + x, 0) / values.length
  const square = values.reduce((sum, x) => sum + x * x, 0) / values.length
  expect(values.every((x) => Math.abs(x) <= 0.5)).toBe(true)
  // five standard errors: 0.289 / √100,000 of the mean, 0.0745 / √100,000 of the square's
  expect(Math.abs(mean)).toBeLessThan(0.0046)
  expect(Math.abs(square - 1 / 12)).toBeLessThan(0.0012)
})
