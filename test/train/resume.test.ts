/** A run killed at any moment and resumed ends with the same files to the byte. */
import { it } from 'vitest'
import { killed } from './kills.ts'

it('twenty times', () => killed('SFTTrainer'), 240_000)
