/** Files by patterns, as `datasets` finds them (resolve_pattern of datasets 5.2 on the same tree). */
import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, posix, relative, win32 } from 'node:path'
import { afterAll, describe, expect, test, vi } from 'vitest'
import { loadDataset } from '../../src/data/load.ts'
import { loadMixture, mixtureOf } from '../../src/data/load-mixture.ts'
import { resolveDataset } from '../../src/hub/dataset.ts'
import { folderOf, isPattern, matching } from '../../src/hub/matching.ts'

const root = mkdtempSync(join(tmpdir(), 'saqr-matching-'))
afterAll(() => rmSync(root, { recursive: true }))
const files = [
  'a/1.jsonl',
  'a/2.jsonl',
  'a/10.jsonl',
  'a/b/3.jsonl',
  'a/.x.jsonl',
  'a/.h/4.jsonl',
  'c/5.csv',
  'c/[x].jsonl',
  'top.jsonl',
  'c/notes.md',
]
for (const file of files) {
  mkdirSync(dirname(join(root, file)), { recursive: true })
  writeFileSync(join(root, file), file.endsWith('.csv') ? `text\n${file}\n` : `{"text":"${file}"}\n`)
}
const at = (pattern: string) => join(root, pattern)
const there = (paths: readonly string[]) => paths.map((path) => relative(root, path).replaceAll('\\', '/'))
const textsOf = ({ rows }: { rows: readonly object[] }) => rows.map((row) => (row as { text: string }).text)

test.each([
  ['a/*.jsonl', 'a/1.jsonl a/10.jsonl a/2.jsonl'],
  ['*/*.jsonl', 'a/1.jsonl a/10.jsonl a/2.jsonl c/[x].jsonl'],
  ['**/*.jsonl', 'a/1.jsonl a/10.jsonl a/2.jsonl a/b/3.jsonl c/[x].jsonl top.jsonl'],
  ['**', 'a/1.jsonl a/10.jsonl a/2.jsonl a/b/3.jsonl c/5.csv c/[x].jsonl c/notes.md top.jsonl'],
  ['a/**', 'a/1.jsonl a/10.jsonl a/2.jsonl a/b/3.jsonl'],
  ['a/[12].jsonl', 'a/1.jsonl a/2.jsonl'],
  ['a/[!1].jsonl', 'a/2.jsonl'],
  ['a/?.jsonl', 'a/1.jsonl a/2.jsonl'],
  ['a/.*.jsonl', 'a/.x.jsonl'],
  ['*/b/*.jsonl', 'a/b/3.jsonl'],
  ['a/**/3.jsonl', 'a/b/3.jsonl'],
  ['**/*1*', 'a/1.jsonl a/10.jsonl'],
])('%s', (pattern, found) => {
  expect(there(matching(at(pattern)))).toEqual(found.split(' '))
})

describe('as datasets 5.2 finds them (resolve_pattern)', () => {
  const here = mkdtempSync(join(tmpdir(), 'saqr-as-datasets-'))
  afterAll(() => rmSync(here, { recursive: true }))
  const names = '-.jsonl 1.jsonl 2.jsonl ^.jsonl x].jsonl 𝒳.jsonl z.json config.json dataset_info.json README.md __f.jsonl'.split(' ')
  const inner = ['b/3.jsonl', 'b/config.json', '__p__/5.jsonl', '__p__/__q__/6.jsonl', '.h/4.jsonl', '.h/__p__/7.jsonl']
  for (const file of [...names, ...inner].map((name) => join(here, 'a', name)).concat(join(here, 'real', 'r.jsonl'))) {
    mkdirSync(dirname(file), { recursive: true })
    writeFileSync(file, '{"text":"a"}\n')
  }
  mkdirSync(join(here, 'a', 'folder.jsonl'))
  for (const [to, name] of [
    ['nowhere', 'broken.jsonl'],
    ['1.jsonl', 'lt.jsonl'],
    ['../real', 'link'],
  ])
    symlinkSync(to!, join(here, 'a', name!))
  const found = (pattern: string) => {
    try {
      return matching(join(here, 'a', pattern)).map((path) => relative(join(here, 'a'), path).replaceAll('\\', '/'))
    } catch (error) {
      return (error as { code: string }).code
    }
  }
  test.each<[string, string[] | string]>([
    ['*.jsonl', ['-.jsonl', '1.jsonl', '2.jsonl', '^.jsonl', '__f.jsonl', 'lt.jsonl', 'x].jsonl', '𝒳.jsonl']],
    ['*.json', ['z.json']],
    ['**', ['-.jsonl', '1.jsonl', '2.jsonl', '^.jsonl', '__f.jsonl', 'b/3.jsonl', 'lt.jsonl', 'x].jsonl', 'z.json', '𝒳.jsonl']],
    ['**/*.json', ['z.json']],
    ['config*', 'FORMAT_NOT_FOUND'],
    ['b/config.json*', 'FORMAT_NOT_FOUND'],
    ['*/config.json', ['b/config.json']],
    ['b*', 'FORMAT_NOT_FOUND'],
    ['l*/*.jsonl', 'FORMAT_NOT_FOUND'],
    ['**/r.jsonl', 'FORMAT_NOT_FOUND'],
    ['link/*.jsonl', ['link/r.jsonl']],
    ['*/5.jsonl', 'FORMAT_NOT_FOUND'],
    ['__*/*.jsonl', ['__p__/5.jsonl']],
    ['__p__/*', ['__p__/5.jsonl']],
    ['__p__/**', ['__p__/5.jsonl']],
    ['__*/**', ['__p__/5.jsonl']],
    ['**/__*/*', ['__p__/5.jsonl']],
    ['*__/*.jsonl', 'FORMAT_NOT_FOUND'],
    ['.h/**', ['.h/4.jsonl']],
    ['.*/*/*', 'FORMAT_NOT_FOUND'],
    ['.*/__*/*', ['.h/__p__/7.jsonl']],
    ['[^1].jsonl', ['1.jsonl', '^.jsonl']],
    ['[!1].jsonl', ['-.jsonl', '2.jsonl', '^.jsonl', '𝒳.jsonl']],
    ['[!^1].jsonl', ['-.jsonl', '2.jsonl', '𝒳.jsonl']],
    ['[2-1].jsonl', 'FORMAT_NOT_FOUND'],
    ['[!2-1].jsonl', ['-.jsonl', '1.jsonl', '2.jsonl', '^.jsonl', '𝒳.jsonl']],
    ['[1-2].jsonl', ['1.jsonl', '2.jsonl']],
    ['[2-11].jsonl', ['1.jsonl']],
    ['[--2].jsonl', ['-.jsonl', '1.jsonl', '2.jsonl']],
    ['[a-].jsonl', ['-.jsonl']],
    ['[-a].jsonl', ['-.jsonl']],
    ['x[]].jsonl', ['x].jsonl']],
    ['[]x]].jsonl', ['x].jsonl']],
    ['[!]x].jsonl', ['-.jsonl', '1.jsonl', '2.jsonl', '^.jsonl', '𝒳.jsonl']],
    ['[].jsonl', 'FORMAT_NOT_FOUND'],
    ['[!].jsonl', 'FORMAT_NOT_FOUND'],
    ['?.jsonl', ['-.jsonl', '1.jsonl', '2.jsonl', '^.jsonl', '𝒳.jsonl']],
    ['[𝒰-𝒴].jsonl', ['𝒳.jsonl']],
    ['[x]*', ['x].jsonl']],
    ['*/', ['-.jsonl', '1.jsonl', '2.jsonl', '^.jsonl', '__f.jsonl', 'lt.jsonl', 'x].jsonl', 'z.json', '𝒳.jsonl']],
    ['**.jsonl', 'OPTION_INVALID'],
    ['***', 'OPTION_INVALID'],
    ['[.]h/*', 'FORMAT_NOT_FOUND'],
    ['README.m[d]', 'FORMAT_NOT_FOUND'],
  ])('%s', (pattern, files) => {
    expect(found(pattern)).toEqual(files)
  })

  test('** within a name is refused, and what to write is told', () => {
    expect(() => matching(join(here, 'a**.jsonl'))).toThrow(/not within a name: write \*\*\/a\*\.jsonl in place of a\*\*\.jsonl\.$/)
  })
})

test('what is there by that name is no pattern', () => {
  expect([isPattern(at('c/[x].jsonl')), isPattern(at('c/[y].jsonl')), isPattern('owner/name')]).toEqual([false, true, false])
})

test('what matches nothing, or nothing that is read, is told', () => {
  expect(() => matching(at('a/*.csv'))).toThrow(`${at('a/*.csv')} matches no file in ${at('a')}. Look at its names: `)
  expect(() => matching(at('nowhere/*.csv'))).toThrow(/nowhere does not exist/)
})

test('what can’t be looked into is told as other files are', () => {
  const code = (name: string) => {
    try {
      return isPattern(name) && matching(name)
    } catch (error) {
      return (error as { code: string }).code
    }
  }
  expect(code(at('top.jsonl/*'))).toBe('FORMAT_FILE')
  expect(() => matching(at('top.jsonl/*'))).toThrow(/top\.jsonl can't be used: a part of it is a file where a folder is needed/)
  expect(code(at(`${'x'.repeat(300)}*`))).toBe('FORMAT_NOT_FOUND')
  expect(code(at(`${'x'.repeat(300)}/*`))).toBe('FORMAT_NOT_FOUND')
  // root may read every folder
  chmodSync(at('a/.h'), 0)
  try {
    expect(code(at('a/.h/*.csv'))).toBe(process.getuid?.() === 0 || process.platform === 'win32' ? 'FORMAT_NOT_FOUND' : 'FORMAT_PERMISSION')
  } finally {
    chmodSync(at('a/.h'), 0o755)
  }
})

test('a drive’s root is its root', () => {
  expect([['C:'], ['C:', 'rows'], ['', '', 'server', 'share']].map((parts) => folderOf(parts, win32))).toEqual([
    'C:\\',
    'C:\\rows',
    '\\\\server\\share\\',
  ])
  expect([[], [''], ['', 'rows']].map((parts) => folderOf(parts, posix))).toEqual([process.cwd(), '/', '/rows'])
})

describe('rows', () => {
  test('of a pattern: a data set, a file of data_files, the command’s dataset_name; files that hold no rows are left out', async () => {
    const rows = ['a/1.jsonl', 'a/10.jsonl', 'a/2.jsonl']
    expect(textsOf(await loadDataset(at('a/*.jsonl')))).toEqual(rows)
    expect(textsOf(await loadDataset(at('a/*.jsonl'), { split: 'train[:2]' }))).toEqual(rows.slice(0, 2))
    expect(textsOf(await loadDataset('json', { dataFiles: [at('top.jsonl'), at('a/1*')] }))).toEqual(['top.jsonl', ...rows.slice(0, 2)])
    expect(there((await resolveDataset(at('c/*'))).files)).toEqual(['c/5.csv', 'c/[x].jsonl'])
    await expect(resolveDataset(at('c/*.md'))).rejects.toThrow(
      /matches no file in .* that can be read: it matches .*notes\.md\. Name files of rows\.$/,
    )
    await expect(loadDataset(at('a/*.jsonl'), 'german')).rejects.toMatchObject({ code: 'DATA_FILES' })
  })

  test('of data_files by split, as TRL’s YAML may have them', async () => {
    const dataFiles = { train: at('a/1*'), test: [at('top.jsonl')] }
    expect(textsOf(await loadDataset('json', { dataFiles }))).toEqual(['a/1.jsonl', 'a/10.jsonl'])
    expect(textsOf(await loadDataset('json', { dataFiles, split: 'test+train[1:]' }))).toEqual(['top.jsonl', 'a/10.jsonl'])
    await expect(loadDataset('json', { dataFiles, split: 'dev' })).rejects.toThrow(/files of train, test, and none of dev/)
    const mixed = await loadMixture(mixtureOf([{ path: 'json', data_files: dataFiles, split: 'test' }]), {})
    expect(textsOf(mixed)).toEqual(['top.jsonl'])
    expect(() => mixtureOf([{ path: 'json', data_files: { train: 3 } }])).toThrow(/a file, a list of files, or those of each split/)
  })

  test('of a list of splits and paths, as datasets takes them too', async () => {
    const dataFiles = [
      { split: 'train', path: at('a/1*') },
      { split: 'test', path: [at('top.jsonl')] },
    ]
    expect(textsOf(await loadDataset('json', { dataFiles, split: 'test+train[1:]' }))).toEqual(['top.jsonl', 'a/10.jsonl'])
    const mixed = await loadMixture(mixtureOf([{ path: 'json', data_files: dataFiles, split: 'test' }]), {})
    expect(textsOf(mixed)).toEqual(['top.jsonl'])
    await expect(loadDataset('json', { dataFiles: [dataFiles[0]!, { ...dataFiles[1]!, split: 'train' }] })).rejects.toThrow(
      /the split train stands there twice/,
    )
  })

  test.each<[unknown]>([
    [[]],
    [{}],
    [{ train: [] }],
    [[{ split: 'train', path: [] }]],
    [[{ split: 'train' }]],
    [['a.jsonl', { split: 'train', path: 'a' }]],
  ])('of no files are refused: %j', async (dataFiles) => {
    await expect(loadDataset('json', { dataFiles: dataFiles as never })).rejects.toThrow(
      /^dataFiles: expected a file, .*a list of .*, not /,
    )
    expect(() => mixtureOf([{ path: 'json', data_files: dataFiles }])).toThrow(/data_files must be a file, a list of files/)
  })

  test('of the user’s own folder, by name as by pattern', async () => {
    vi.stubEnv('HOME', root)
    vi.stubEnv('USERPROFILE', root)
    try {
      for (const dataFiles of ['~/top.jsonl', '~/top*.jsonl', '~/t[o]p.jsonl'])
        expect(textsOf(await loadDataset('json', { dataFiles }))).toEqual(['top.jsonl'])
      expect(textsOf(await loadDataset('json', { dataFiles: '~/c/[x].jsonl' }))).toEqual(['c/[x].jsonl'])
    } finally {
      vi.unstubAllEnvs()
    }
  })
})
