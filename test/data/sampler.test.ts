import { expect, test } from 'vitest'
import { randomPermutation } from '../../src/data/mt19937.ts'
import { Sampler } from '../../src/data/sampler.ts'
import { recorded } from '../text/fixtures.ts'

interface Order {
  rows: number
  options: Record<string, number | string | boolean>
  steps: number[][][]
}

const samplerOf = ({ rows, options: o }: Order) =>
  new Sampler({
    rows,
    batchSize: o.per_device_train_batch_size as number,
    accumulationSteps: o.gradient_accumulation_steps as number,
    seed: (o.seed ?? 42) as number,
    dataSeed: (o.data_seed ?? null) as number | null,
    dropLast: (o.dataloader_drop_last ?? false) as boolean,
    strategy: o.train_sampling_strategy as string | undefined,
  })

test.each(recorded<Order[]>('orders.json'))('rows come in the order of TRL’s trainer: $options', (order) => {
  const sampler = samplerOf(order)
  const { max_steps: maxSteps = -1, num_train_epochs: numTrainEpochs = 3 } = order.options as Record<string, number>
  const total = sampler.totalSteps({ maxSteps, numTrainEpochs })
  expect(total).toBe(order.steps.length)
  expect(order.steps.map((_, step) => sampler.batches(step))).toEqual(order.steps)
})

test('a run may begin at any step', () => {
  const order = recorded<Order[]>('orders.json')[0]!
  const backwards = order.steps.map((_, i) => order.steps.length - 1 - i)
  const sampler = samplerOf(order)
  expect(backwards.map((step) => sampler.batches(step))).toEqual(order.steps.toReversed())
  for (const step of backwards) expect(samplerOf(order).batches(step)).toEqual(order.steps[step])
})

test('every row once an epoch', () => {
  expect(randomPermutation(1000, 7).toSorted()).toEqual(Int32Array.from({ length: 1000 }, (_, i) => i))
  // torch.randperm(10, generator=torch.Generator().manual_seed(3407))
  expect([...randomPermutation(10, 3407)]).toEqual([9, 1, 5, 7, 3, 2, 8, 6, 4, 0])
  expect(randomPermutation(10, 3407 + 2 ** 32)).toEqual(randomPermutation(10, 3407)) // 32 bits of a seed count
})

test('what is not supported, and too few rows, are refused', () => {
  const options = { rows: 3, batchSize: 4, accumulationSteps: 1, seed: 0 }
  expect(() => new Sampler({ ...options, strategy: 'group_by_length' })).toThrow(/trainSamplingStrategy group_by_length is not supported/)
  expect(() => new Sampler({ ...options, dropLast: true })).toThrow(/3 rows do not fill one batch of 4/)
  expect(() => new Sampler({ ...options, rows: 0 })).toThrow(/there is no row/)
})
