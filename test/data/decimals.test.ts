/** Decimals of Parquet: the whole number that stands there over a power of ten, whatever holds it and however many digits it has. */
import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { readParquet } from '../../src/data/read-parquet.ts'
import { stringifyJson } from '../../src/formats/json.ts'

const folder = mkdtempSync(join(tmpdir(), 'saqr-decimals-'))
/** rows of a file as JSON, which keeps what a JavaScript number does not say */
async function rowsOf(name: string, base64: string): Promise<string> {
  const path = join(folder, `${name}.parquet`)
  writeFileSync(path, Buffer.from(base64, 'base64'))
  return stringifyJson((await readParquet(path)).rows)
}

// pyarrow 26: pq.write_table(pa.table({"n": pa.array(values, pa.decimal128(17, 5))}), file, store_schema=False, compression="none", use_dictionary=False, write_statistics=False)
const SEVENTEEN =
  'UEFSMRUAFeABFeABLBUcFQAVBhUGHAAAAAQAAAAYAQMCAVL1k6ysP/0AZk24+xObSgEWPhgKW4D9AUzsZA/wNKYBWZgWgId/2QETxitGJV+pAT2HY7ImBkQAhbM6q74dMwE4gXnoJDB0ATzwNEXjVnUA7twr6bNIsACaRW2WT8xF//////NQ8egVBBksNQAYBnNjaGVtYRUCABUOFRAVAhgBbiUKFQoVIixcFQoVIgAAABYcGRwZHCYAHBUOGSUGABkYAW4VABYcFooCFooCJghJHBUAFQAVAgA8KQYZJgIaAAAAFooCFhwmCBaKAgAoIHBhcnF1ZXQtY3BwLWFycm93IHZlcnNpb24gMjYuMC4xGRwcAAAAjgAAAFBBUjE='
// decimal128(38, 0), decimal128(38, 38)
const WHOLE =
  'UEFSMRUAFWwVbCwVCBUAFQYVBhwAAAACAAAAAwcAAAAAJ+QbMka+ybFuOYEVAAAAAAAAAAAAAAAAAAAABf///////////9////////8VBBksNQAYBnNjaGVtYRUCABUOFSAVAhgBbiUKFQAVTCxcFQAVTAAAABYIGRwZHCYAHBUOGSUGABkYAW4VABYIFpIBFpIBJghJHBUAFQAVAgA8KQYZJgIGAAAAFpIBFggmCBaSAQAoIHBhcnF1ZXQtY3BwLWFycm93IHZlcnNpb24gMjYuMC4xGRwcAAAAjgAAAFBBUjE='
const TINY =
  'UEFSMRUAFUwVTCwVBBUAFQYVBhwAAAACAAAABAEHhe4Q1dpG2QD0NqAAAAAAtMSzV6V5O4X2dd3AAAAAARUEGSw1ABgGc2NoZW1hFQIAFQ4VIBUCGAFuJQoVTBVMLFwVTBVMAAAAFgQZHBkcJgAcFQ4ZJQYAGRgBbhUAFgQWchZyJghJHBUAFQAVAgA8KQYZJgAEAAAAFnIWBCYIFnIAKCBwYXJxdWV0LWNwcC1hcnJvdyB2ZXJzaW9uIDI2LjAuMRkcHAAAAIoAAABQQVIx'
// -2127.99 and 5.00 as decimal(6, 2) in int32, int64 and fixed bytes, the footer's older `converted_type` taken out: newer writers need not write it
const NEWER = {
  int32:
    'UEFSMRUEFRAVEEwVBBUAEgAAwcD8//QBAAAVABUSFRIsFQQVEBUGFQYcAAAAAgAAAAQBAQMCFQQZLDUAGAZzY2hlbWEVAgAVAiUCGAF4NQQVEixcFQQVEgAAABYEGRwZHCYAHBUCGTUABhAZGAF4FQAWBBZkFmQmNCYIKSwVBBUAFQIAFQAVEBUCADwpBhkmAAQAAAAWZBYEJggWZAAoIHBhcnF1ZXQtY3BwLWFycm93IHZlcnNpb24gMjYuMC4xGRwcAAAAkAAAAFBBUjE=',
  int64:
    'UEFSMRUEFSAVIEwVBBUAEgAAwcD8///////0AQAAAAAAABUAFRIVEiwVBBUQFQYVBhwAAAACAAAABAEBAwIVBBksNQAYBnNjaGVtYRUCABUEJQIYAXg1BBUeLFwVBBUeAAAAFgQZHBkcJgAcFQQZNQAGEBkYAXgVABYEFnQWdCZEJggpLBUEFQAVAgAVABUQFQIAPCkGGSYABAAAABZ0FgQmCBZ0ACggcGFycXVldC1jcHAtYXJyb3cgdmVyc2lvbiAyNi4wLjEZHBwAAACQAAAAUEFSMQ==',
  bytes:
    'UEFSMRUEFRAVEEwVBBUAEgAA//zAwQAAAfQVABUSFRIsFQQVEBUGFQYcAAAAAgAAAAQBAQMCFQQZLDUAGAZzY2hlbWEVAgAVDhUIFQIYAXg1BBUSLFwVBBUSAAAAFgQZHBkcJgAcFQ4ZNQAGEBkYAXgVABYEFmQWZCY0JggpLBUEFQAVAgAVABUQFQIAPCkGGSYABAAAABZkFgQmCBZkACggcGFycXVldC1jcHAtYXJyb3cgdmVyc2lvbiAyNi4wLjEZHBwAAACSAAAAUEFSMQ==',
}

test('of seventeen digits: the double nearest to each', async () => {
  const nearest = [
    954085567341.6908,
    287959045061.7428,
    783183164994.6854,
    937096067762.2289,
    972760893782.4252,
    776235077581.7822,
    893764298776.2644,
    376332364733.5557,
    879625533194.364,
    892101999420.5963,
    672331256196.8146,
    434234833890.0487,
    null,
    -2127.99,
  ]
  expect(JSON.parse(await rowsOf('seventeen', SEVENTEEN))).toEqual(nearest.map((n) => ({ n })))
})

test('without places behind the point: a whole number with all of its digits', async () => {
  expect(await rowsOf('whole', WHOLE)).toBe('[{"n": 12345678901234567890123456789}, {"n": 5}, {"n": -9007199254740993}, {"n": null}]')
})

test('with places alone', async () => {
  expect(JSON.parse(await rowsOf('tiny', TINY))).toEqual([{ n: 0.1 }, { n: -1 }])
})

test.each(Object.entries(NEWER))('told by its logical type alone, in %s', async (name, file) => {
  expect(await rowsOf(name, file)).toMatch(/-2127\.99\}, \{"\w+": 5\.0\}/)
})
