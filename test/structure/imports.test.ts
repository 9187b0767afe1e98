/** The folders of src/ stand in the order the data passes them: an import points up the list, never down. */
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { describe, expect, it } from 'vitest'

const src = join(import.meta.dirname, '../../src')
const ORDER = [
  'hub',
  'formats',
  'text',
  'data',
  'ops',
  'models',
  'adapters',
  'graph',
  'devices',
  'engine',
  'track',
  'train',
  'generate',
  'export',
  'jobs',
  'serve',
  'cli',
]

const files = readdirSync(src, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.ts'))
const folderOf = (file: string) => (file.includes('/') ? file.split('/')[0]! : '')

/** files beside the folders: error.ts is everybody's, the others stand over all */
const rank = (file: string) => {
  const folder = folderOf(file)
  if (folder === '') return file === 'error.ts' ? -1 : ORDER.length
  return ORDER.indexOf(folder)
}

it('every folder has its place', () => {
  const unknown = files.map(folderOf).filter((folder) => folder !== '' && !ORDER.includes(folder))
  expect([...new Set(unknown)]).toEqual([])
})

describe('imports', () => {
  it('point up the list', () => {
    const wrong: string[] = []
    for (const file of files) {
      const text = readFileSync(join(src, file), 'utf8')
      for (const [, target] of text.matchAll(/(?:from|import)\s*\(?\s*'(\.{1,2}\/[^']+)'/g)) {
        const imported = relative(src, join(src, dirname(file), target!))
        if (rank(imported) > rank(file)) wrong.push(`${file} -> ${imported}`)
      }
    }
    expect(wrong).toEqual([])
  })

  it('of the graph and all above the devices know none of them', () => {
    const wrong = files
      .filter((file) => ['models', 'data', 'graph', 'train', 'adapters'].includes(folderOf(file)))
      .flatMap((file) => {
        const text = readFileSync(join(src, file), 'utf8')
        return /devices\/(cpu|cuda|reference)/.test(text) ? [file] : []
      })
    expect(wrong).toEqual([])
  })

  it('of what renames a file are src/hub/move.ts’s alone, which waits where Windows refuses to', () => {
    const renaming = /\brenameSync\b|\brename\b[^}]*\} from 'node:fs/
    expect(files.filter((file) => renaming.test(readFileSync(join(src, file), 'utf8')))).toEqual([join('hub', 'move.ts')])
  })

  it('of a timeout are src/hub/within.ts’s alone: Node loses those of AbortSignal.timeout', () => {
    const losing = /AbortSignal\.timeout\(/
    expect(files.filter((file) => losing.test(readFileSync(join(src, file), 'utf8')))).toEqual([])
  })

  it('of a test file replace no module: files share those that one of them has loaded', () => {
    const tests = readdirSync(join(src, '../test'), { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.test.ts'))
    const replacing = new RegExp(`\\bvi\\.(${['mock', 'doMock', 'resetModules'].join('|')})\\(`)
    expect(tests.filter((file) => replacing.test(readFileSync(join(src, '../test', file), 'utf8')))).toEqual([])
  })
})
