import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { unzip, zipEntries } from '../../src/formats/zip.ts'
import { type Entry, zip } from './zip-writer.ts'

const folder = mkdtempSync(join(tmpdir(), 'saqr-zip-'))
afterAll(() => rmSync(folder, { recursive: true }))

const archive = join(folder, 'a.zip')
const out = join(folder, 'out')

async function unpacked(bytes: Buffer): Promise<Record<string, string>> {
  writeFileSync(archive, bytes)
  const files: Record<string, string> = {}
  for (const entry of zipEntries(archive)) {
    await unzip(archive, entry, out)
    files[entry.name] = readFileSync(out, 'utf8')
  }
  return files
}

it('unpacks what is stored, deflated or empty, whatever the comment', async () => {
  const text = 'the falcon '.repeat(5000)
  const entries: Entry[] = [
    { name: 'a/stored.txt', content: 'as it is', method: 0 },
    { name: 'صقر', content: text },
    { name: 'empty', content: '', method: 0 },
  ]
  const files = { 'a/stored.txt': 'as it is', صقر: text, empty: '' }
  expect(await unpacked(zip(entries))).toEqual(files)
  expect(await unpacked(zip(entries, 'PK\x05 a comment'))).toEqual(files)
})

describe('refuses', () => {
  const good = zip([{ name: 'file', content: 'content '.repeat(100) }])
  it.each<[string, Buffer, RegExp]>([
    ['what is no archive', Buffer.from('PK is what it begins with'), /has no directory/],
    ['one cut short', good.subarray(0, -30), /has no directory/],
    ['one whose middle is missing', Buffer.concat([good.subarray(0, 10), good.subarray(60)]), /outside|damaged/],
    ['an encrypted file', zip([{ name: 'file', content: 'x', flags: 1 }]), /file is encrypted/],
    ['another packing', zip([{ name: 'file', content: 'x', method: 12 }]), /packed by method 12/],
    ['zip64', zip([{ name: 'file', content: 'x', size: 0xffffffff }]), /zip64/],
    ['a wrong size', zip([{ name: 'file', content: 'content', size: 8 }]), /has 7 bytes, not 8/],
    ['damaged bytes', Buffer.concat([good.subarray(0, 34), Buffer.alloc(8, 0xff), good.subarray(42)]), /can't be unpacked/],
  ])('%s', async (_, bytes, message) => {
    await expect(unpacked(bytes)).rejects.toMatchObject({ code: 'FORMAT_ZIP', message: expect.stringMatching(message) })
  })
})
