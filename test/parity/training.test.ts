/** Thirty optimizer steps against TRL's SFTTrainer in f32, as recorded by tools/oracle/training.py: same rows, same order, same numbers. */
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'vitest'
import { expectTrained } from './training-check.ts'

const root = join(import.meta.dirname, '../fixtures/training')

describe.each(readdirSync(root))('%s', (name) => {
  it('has the losses, gradient norms, learning rates and final weights of TRL', () => expectTrained(join(root, name), true))
})

it.each([{ prefixSharing: false }, { maxPassTokens: 40 }])('dynamic fine-tuning, cut otherwise: %j', (more) =>
  expectTrained(join(root, 'dft'), true, more),
)
