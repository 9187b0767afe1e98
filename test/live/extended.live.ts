/** Added tokens and resized vocabularies beside tokenizers, transformers and PEFT, on calls and weights that are not recorded. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { logProbabilities, makeTwo, makeWay, openExtended, ROW, ROWS, train, WAYS } from '../engine/extended-models.ts'
import { distance } from '../parity/family-case.ts'
import { heldAgainst } from '../text/extended.ts'
import { oracle } from './oracle.ts'
import { json } from './train.ts'

const SEED = 20264
const root = await oracle('extended', '--seed', String(SEED))
const work = mkdtempSync(join(tmpdir(), 'saqr-extended-live-'))
afterAll(() => rmSync(work, { recursive: true }))

it('tokens are added as the library adds them', () => {
  const { wrong, compared } = heldAgainst(root)
  expect(wrong, `seed ${SEED}`).toEqual([])
  expect(compared).toBeGreaterThan(800)
})

interface Said {
  length: number
  ids: number[]
  logp: number[]
  vocab?: number
  warnings?: string[]
  /** by the second adapter of the folder */
  other?: number[]
}

describe('saved over a resized vocabulary', async () => {
  const out = join(work, 'saved')
  const said: Record<string, Float32Array> = {}
  // PEFT reads adapters over a base in f32 here
  for (const name of Object.keys(WAYS).filter((one) => !WAYS[one]!.load)) {
    said[name] = await makeWay(root, name, out)
    said[`${name}-merged`] = said[name]
    rmSync(join(out, `${name}-run`), { recursive: true })
  }
  const { model } = await openExtended(join(root, 'untied-full'), { fullFinetuning: true })
  await train(model, join(work, 'run'))
  said.full = await logProbabilities(model.language)
  await model.savePretrained(join(out, 'full'))
  await model.dispose()
  said.two = await makeTwo(root, work, join(out, 'two'))
  mkdirSync(out, { recursive: true })
  writeFileSync(join(out, 'row.json'), JSON.stringify({ ids: ROW, rows: ROWS }))
  const read = json(join(await oracle('extended', '--read', out), 'said.json')) as Record<string, Said>

  it.each(Object.keys(said))('%s', (name) => {
    const theirs = read[name]!
    expect(theirs.length).toBe(262)
    expect(theirs.ids).toContain(260)
    if (theirs.vocab !== undefined) expect(theirs.vocab).toBe(ROWS)
    if (name === 'two') {
      const other = Float32Array.from(theirs.other!)
      expect(distance(Float32Array.from([...theirs.logp, ...other]), said.two!)).toBeLessThan(3e-6)
      expect(theirs.logp).not.toEqual(theirs.other)
      return
    }
    // PEFT's own f32 lies about as far from f64
    expect(distance(Float32Array.from(theirs.logp), said[name]!)).toBeLessThan(3e-6)
    // what it tells of every base with one weight for both
    expect((theirs.warnings ?? []).filter((told) => !/ensure_weight_tying/.test(told))).toEqual([])
  })
})
