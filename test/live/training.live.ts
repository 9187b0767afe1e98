/** Thirty optimizer steps from other weights than those recorded, against TRL's SFTTrainer as it is installed, in f32: what it logs and where it ends. */
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { it } from 'vitest'
import { expectTrained } from '../parity/training-check.ts'
import { oracle } from './oracle.ts'

const root = await oracle('training', '--seed', '1')

it.each(readdirSync(root))('%s', (name) => expectTrained(join(root, name)))
