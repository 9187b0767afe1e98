/** Added tokens drawn at random in texts drawn at random: the tokenizers library's ids, and transformers' masks. */
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { type AddedCase, heldAgainst } from '../text/added-tokens.ts'
import { oracle } from './oracle.ts'
import { json } from './train.ts'

/** to look for trouble elsewhere, change it: every seed should pass */
const SEED = 20263
const root = await oracle('added_tokens', '--seed', String(SEED))

it('thousands of texts over all flags', () => {
  const models = json(join(root, 'models.json')) as Record<string, object>
  const { wrong, ids, masks, refused } = heldAgainst(json(join(root, 'cases.json')) as AddedCase[], (kind) => models[kind]!)
  expect(wrong, `seed ${SEED}`).toEqual([])
  expect(ids).toBeGreaterThan(8000)
  expect(masks).toBeGreaterThan(7500)
  expect(refused).toBeLessThan(ids / 20)
})
