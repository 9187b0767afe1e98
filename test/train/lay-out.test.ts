/** Which positions a pass has for its entries follows from what the objective makes of logits, whatever of its rows stays together. */
import { expect, it } from 'vitest'
import type { Example } from '../../src/data/example.ts'
import { layPasses } from '../../src/train/objectives/lay-out.ts'
import type { Together } from '../../src/train/objectives/objective.ts'
import { sft } from '../../src/train/objectives/sft.ts'

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
