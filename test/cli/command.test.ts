/**
 * dist/command/, what `saqr` runs, and dist/package/, what programs import: packages stay packages but for zod, whose licence lies beside it, and what
 * lies beside a module is found where the module stood.
 */
import { execFileSync } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { builtinModules } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { rolldown } from 'rolldown'
import { describe, expect, it } from 'vitest'
import { version } from '../../src/hub/version.ts'

const dist = join(import.meta.dirname, '../../dist')
/** a module's own place, and one where nothing is for who bundles it as CommonJS */
const OWN = /new URL\("(\.\.\/[^"]+)", import\.meta\.url \|\| "file:\/\/\/C:\/bundled\/[^"]+"\)\.href/g

describe.each(['command', 'package'])('dist/%s/', (name) => {
  const folder = join(dist, name)
  const files = readdirSync(folder)
    .filter((name) => name.endsWith('.js'))
    .map((name) => ({ name, text: readFileSync(join(folder, name), 'utf8') }))

  it('asks for the packages that saqr depends on, and holds zod alone, with its licence and without its languages', () => {
    const { dependencies } = JSON.parse(readFileSync(join(folder, '../../package.json'), 'utf8')) as {
      dependencies: Record<string, string>
    }
    const asked = new Set(
      files.flatMap(({ text }) => [...text.matchAll(/^import .*?["']([^."'][^"']*)["'];?$/gm)].map(([, name]) => name!)),
    )
    const own = [...asked].filter((name) => !name.startsWith('node:') && !builtinModules.includes(name))
    expect(own.length).toBeGreaterThan(0)
    for (const name of own) expect(Object.keys(dependencies)).toContain(name)
    expect(own).not.toContain('zod')
    const held = files.flatMap(({ text }) => [...text.matchAll(/^\/\/ .*node_modules\/(.*)$/gm)].map(([, path]) => path!))
    expect(held.length).toBeGreaterThan(5)
    expect(held.filter((path) => !path.startsWith('zod/') || (path.includes('locales/') && !path.endsWith('/en.js')))).toEqual([])
    expect(readFileSync(join(folder, 'LICENSE-zod'), 'utf8')).toContain('Colin McDonnell')
  })

  it('every module’s own place is one in dist/', () => {
    const places = files.flatMap(({ text }) => [...text.matchAll(OWN)].map(([, place]) => place!))
    expect(places.length).toBeGreaterThan(10)
    for (const place of places) expect(existsSync(join(folder, place)), place).toBe(true)
    // none was left as it was
    for (const { name, text } of files) expect(text.replaceAll(OWN, ''), name).not.toContain('import.meta.url')
  })
})

it('the command is written in ASCII', () => {
  const files = readdirSync(join(dist, 'command')).filter((name) => name.endsWith('.js'))
  expect(files.filter((name) => /[^\0-\x7f]/.test(readFileSync(join(dist, 'command', name), 'utf8')))).toEqual([])
})

it('the command runs', () => {
  const said = (...args: string[]) => execFileSync(process.execPath, [join(dist, 'command/main.js'), ...args], { encoding: 'utf8' })
  expect(said('--version')).toBe(`${version()}\n`)
  expect(said('generate', '--help')).toContain('--max_new_tokens')
})

it('a program imports what the modules export', () => {
  const exported = (path: string) =>
    execFileSync(process.execPath, ['-e', `import(${JSON.stringify(path)}).then((all) => console.log(Object.keys(all).sort().join()))`], {
      encoding: 'utf8',
      cwd: dist,
    }).trim()
  expect(exported('saqr')).toBe(exported(pathToFileURL(join(dist, 'index.js')).href))
  expect(exported('saqr')).toContain('FastLanguageModel')
})

it('bundled again as CommonJS, which has no import.meta, it says that it has to stay outside', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'saqr-bundled-'))
  try {
    const again = await rolldown({
      input: join(dist, 'package/index.js'),
      platform: 'node',
      external: (id) => !/^[./]/.test(id),
      transform: { define: { 'import.meta.url': 'undefined' } }, // as esbuild leaves it
    })
    await again.write({ dir: folder, format: 'cjs', entryFileNames: 'program.cjs' })
    await again.close()
    const program = `require('./program.cjs').FastLanguageModel.fromPretrained('model').catch(({ code }) => console.log(code))`
    const env = { ...process.env, NODE_PATH: join(dist, '../node_modules') }
    expect(execFileSync(process.execPath, ['-e', program], { cwd: folder, encoding: 'utf8', env })).toBe('DEVICE_BUNDLED\n')
  } finally {
    rmSync(folder, { recursive: true })
  }
})
