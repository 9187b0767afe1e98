/** What editors and compilers read: the built declarations import Node and each other alone, whatever packages saqr itself needs. */
import { readFileSync } from 'node:fs'
import { isBuiltin } from 'node:module'
import { dirname, join, relative } from 'node:path'
import ts from 'typescript'
import { expect, it } from 'vitest'

const dist = join(import.meta.dirname, '../../dist')

it('declarations that the package’s entry reaches import no package, and know no type that TypeScript 5.0 doesn’t', () => {
  const foreign: string[] = []
  const files = [join(dist, 'index.d.ts')]
  for (const file of files) {
    const text = readFileSync(file, 'utf8')
    // typed arrays are generic since 5.7: what is inferred of them is written so
    const [generic] = /\w+Array<ArrayBuffer\w*>/.exec(text) ?? []
    if (generic) foreign.push(`${relative(dist, file)} has ${generic}`)
    for (const [, name] of text.matchAll(/(?:from|import)\s*\(?\s*'([^']+)'/g)) {
      if (name!.startsWith('.')) {
        const next = join(dirname(file), name!).replace(/\.[jt]s$/, '.d.ts')
        if (!files.includes(next)) files.push(next)
      } else if (!isBuiltin(name!)) foreign.push(`${relative(dist, file)} imports ${name}`)
    }
  }
  expect(files.length).toBeGreaterThan(30)
  expect(foreign).toEqual([])
})

it('a program without Node’s types compiles against the declarations, every one of them checked', () => {
  const program = ts.createProgram([join(dist, 'index.d.ts')], {
    strict: true,
    noEmit: true,
    skipLibCheck: false,
    module: ts.ModuleKind.NodeNext,
    moduleResolution: ts.ModuleResolutionKind.NodeNext,
    target: ts.ScriptTarget.ES2022,
    lib: ['lib.es2023.d.ts', 'lib.dom.d.ts'],
    types: [],
  })
  const said = ts
    .getPreEmitDiagnostics(program)
    .map(({ file, messageText }) => `${file && relative(dist, file.fileName)}: ${ts.flattenDiagnosticMessageText(messageText, ' ')}`)
  expect(said).toEqual([])
})
