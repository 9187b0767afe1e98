import { expect, it } from 'vitest'
import { optionsPage } from '../../tools/options-page.ts'

it('docs/options.md is what the tables of options say', async () => {
  await expect(optionsPage()).toMatchFileSnapshot('../../docs/options.md')
})
