/** Which positions a pass has for its entries follows from what the objective makes of logits, whatever of its rows stays together. */
import { expect, it } from 'vitest'
import type { Example } from '../../src/data/example.ts'
import { layPasses } from '../../src/train/objectives/lay-out.ts'
import type { Together } from '../../src/train/objectives/objective.ts'
import { sft } from '../../src/train/objectives/sft.ts'
import { Sizes } from '../../src/train/sizes.ts'

const row = (...ids: number[]): Example => ({ ids: Int32Array.from(ids), targets: Uint8Array.from(ids, () => 1), row: 1, source: 'made' })

it.each<Together>(['sequence', 'example', 'batch'])(
  'entries have positions of their own where their weights come later: %s',
  (together) => {
    // alike in 20 tokens, behind which one position has two targets
    const shared = Array.from({ length: 20 }, (_, i) => i + 1)
    const positions = (later: boolean) => {
      const { passes } = layPasses([[row(...shared, 30), row(...shared, 31)]], { maxPassTokens: 64, prefixSharing: true, quantum: 8 }, { together, score: { ...sft.score, later } }) // biome-ignore format: short
      return passes.map(({ headCount, entryStart }) => [headCount, entryStart[headCount]])
    }
    expect(positions(false)).toEqual([[20, 21]])
    expect(positions(true)).toEqual([[21, 21]])
  },
)

it('knows the most that a step and a pass have to hold', () => {
  const alike = Array.from({ length: 20 }, (_, i) => i + 1)
  const pair: Example = { ...row(...alike, 30, ...alike, 31, 32), starts: Int32Array.of(0, 21) }
  const rows = [row(1, 2, 3), row(...alike.slice(9)), row(...alike.slice(9)), pair, row(7)]
  // 43, 11 and 11 tokens; the longest sequence has 22
  const sizes = new Sizes()
  for (const one of rows) sizes.add(one)
  expect(sizes.bounds(3)).toEqual({ longest: 22, stepTokens: 65 })
  expect(sizes.bounds(9)).toEqual({ longest: 22, stepTokens: 69 })
  expect(sizes.bounds(3, 'example')).toEqual({ longest: 43, stepTokens: 65 })
  expect(sizes.bounds(2, 'batch')).toEqual({ longest: 54, stepTokens: 54 })
  // what both answers begin with is computed once: 20 tokens less
  expect(sizes.bounds(2, 'batch', true)).toEqual({ longest: 34, stepTokens: 34 })
  expect(new Sizes().bounds(2)).toEqual({ longest: 0, stepTokens: 0 })
})
