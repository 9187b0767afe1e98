/** Ten optimizer steps from other weights than those recorded, against TRL's preference trainers as they are installed: every number they log. */
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { offOfRun } from '../parity/preference-case.ts'
import { oracle } from './oracle.ts'

const root = await oracle('preference', '--seed', '1')

it.each(readdirSync(join(root, 'runs')))('%s', async (name) => {
  for (const { what, off, allowed } of await offOfRun(root, name)) expect(off, what).toBeLessThanOrEqual(allowed)
})

const mixture = await oracle('preference', '--mixture', '--seed', '1')

it.each(readdirSync(join(mixture, 'runs')))('a mixture, %s', async (name) => {
  for (const { what, off, allowed } of await offOfRun(mixture, name)) expect(off, what).toBeLessThanOrEqual(allowed)
})
