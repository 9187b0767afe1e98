/** Links between the pages, and to files: each leads to something. `npm run site` follows places within pages too. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { writePages } from '../../site/pages-of-docs.ts'

it('every page links to what is there', () => {
  const folder = mkdtempSync(join(tmpdir(), 'saqr-links-'))
  try {
    expect(writePages(join(import.meta.dirname, '../..'), folder)).toEqual([])
  } finally {
    rmSync(folder, { recursive: true })
  }
})
