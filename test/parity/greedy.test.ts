/** Over the KV cache, token by token: logits and the first greedy tokens of transformers, for every family and adapter that was recorded. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { answersOf, logitsOneByOne } from '../generate/texts.ts'
import { distance, readTensors, rowsOf } from './family-case.ts'
import { withModel } from './with-model.ts'

const root = join(import.meta.dirname, '../fixtures/families')
interface Greedy {
  prompt: number[]
  tokens: number[]
}

interface Recorded {
  greedy: Greedy
  /** of rows 0 and 1: ‖f32 − f64‖ / ‖f64‖ of transformers' own logits */
  logits: Record<string, number>
}

// lora_bias is refused by name (families.test.ts)
const recorded = readdirSync(root).filter((name) => name !== 'lora-lora-bias')

it('has something to compare', () => expect(recorded.length).toBeGreaterThan(20))

describe.each(recorded)('%s', (name) => {
  const folder = join(root, name)
  const { greedy, logits } = JSON.parse(readFileSync(join(folder, 'expected.json'), 'utf8')) as Recorded

  it('greedy tokens', async () => {
    await withModel(folder, async (model) => {
      expect(await answersOf(model, [greedy.prompt], { maxNewTokens: greedy.tokens.length })).toEqual([greedy.tokens])
    })
  })

  it('logits of whole rows', async () => {
    const tensors = readTensors(join(folder, 'expected.safetensors'))
    const rows = rowsOf(folder)
    await withModel(folder, async (model) => {
      const { vocab, longBeyond = Number.POSITIVE_INFINITY } = model.opened.model
      for (const [row, own] of Object.entries(logits)) {
        const { ids } = rows[Number(row)]!
        // recorded of whole rows: the first tokens of one that grows long were read as a short one's
        const from = (ids.length > longBeyond ? longBeyond : 0) * vocab
        const ours = await logitsOneByOne(model, ids)
        // as gradients are held: within three times torch's own distance from f64, or 1e-5
        const theirs = tensors.get(`logits.${row}`)!
        expect(distance(ours.subarray(from), theirs.subarray(from)), `row ${row}`).toBeLessThan(Math.max(1e-5, 3 * own))
      }
    })
  })
})
