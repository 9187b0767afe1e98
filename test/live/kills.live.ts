/** The same of other trainers (test/train/resume.test.ts); it asks no oracle, and takes too long for every `npm test`. */
import { it } from 'vitest'
import { killed } from '../train/kills.ts'

it('DPOTrainer, killed twenty times', () => killed('DPOTrainer'))
