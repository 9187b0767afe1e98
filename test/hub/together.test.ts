/** Files saved together: all of them or those of before, whoever else saves there and whatever fails. */
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { hostname, tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { writeFilesTogether } from '../../src/hub/files.ts'

const empty = () => mkdtempSync(join(tmpdir(), 'saqr-together-'))
const put = (text: string, names: readonly string[]) => (part: string) => {
  for (const name of names) writeFileSync(join(part, name), text)
}
const read = (folder: string) => Object.fromEntries(readdirSync(folder).map((name) => [name, readFileSync(join(folder, name), 'utf8')]))

test('they replace those of before, and what else lies there stays', async () => {
  const folder = empty()
  writeFileSync(join(folder, 'notes'), 'mine')
  await writeFilesTogether(folder, put('old', ['a', 'b', 'c']))
  await writeFilesTogether(folder, put('new', ['a', 'b']))
  expect(read(folder)).toEqual({ a: 'new', b: 'new', c: 'old', notes: 'mine' })
})

test('where one can’t take its place those that did are put back, and the error says which', async () => {
  const folder = empty()
  await writeFilesTogether(folder, put('old', ['a', 'b']))
  mkdirSync(join(folder, 'z'))
  writeFileSync(join(folder, 'z', 'mine'), 'mine')
  const failed = writeFilesTogether(folder, put('new', ['a', 'b', 'n', 'z']))
  await expect(failed).rejects.toMatchObject({
    code: 'FORMAT_NOT_A_FILE',
    message: `${join(folder, 'z')} is a folder, not a file: move it away, or choose another place.`,
  })
  expect(readdirSync(folder).sort()).toEqual(['a', 'b', 'z'])
  expect([readFileSync(join(folder, 'a'), 'utf8'), readFileSync(join(folder, 'z', 'mine'), 'utf8')]).toEqual(['old', 'mine'])
})

test('two at once: the last to be done stays, whole', async () => {
  const folder = empty()
  const slow = writeFilesTogether(folder, async (part) => {
    put('slow', ['a', 'b'])(part)
    await new Promise((resolve) => setTimeout(resolve, 20))
  })
  await Promise.all([slow, writeFilesTogether(folder, put('quick', ['a', 'b', 'c']))])
  expect(read(folder)).toEqual({ a: 'slow', b: 'slow', c: 'quick' })
})

test('what a killed one left is swept by the next', async () => {
  const folder = empty()
  const left = join(folder, `.unsaved.saqr-${hostname()}-999999999`)
  mkdirSync(left)
  writeFileSync(join(left, 'a'), 'half')
  await writeFilesTogether(folder, put('new', ['a']))
  expect(existsSync(left)).toBe(false)
  expect(read(folder)).toEqual({ a: 'new' })
})
