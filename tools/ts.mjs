// Lets Node 20 run the TypeScript of bench/ and tools/:  node --import ./tools/ts.mjs bench/ops.ts
// Types are taken away file by file as it is loaded; nothing is checked (tools/test.mjs does that).
import { register } from 'node:module'
import { pathToFileURL } from 'node:url'

const hooks = `
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import ts from 'typescript'
const options = { module: ts.ModuleKind.ESNext, target: ts.ScriptTarget.ES2023, verbatimModuleSyntax: true, inlineSourceMap: true }
export async function load(url, context, next) {
  if (!url.endsWith('.ts')) return next(url, context)
  const source = ts.transpileModule(readFileSync(fileURLToPath(url), 'utf8'), { compilerOptions: options, fileName: fileURLToPath(url) }).outputText
  return { format: 'module', source, shortCircuit: true }
}
`
register(`data:text/javascript,${encodeURIComponent(hooks.replace("'typescript'", `'${typescript()}'`))}`, pathToFileURL('./'))

function typescript() {
  try {
    return import.meta.resolve('typescript')
  } catch {
    throw new Error(
      'TypeScript is not installed here, which saqr is written in: `node tools/ready.mjs` installs it and all else that a checkout takes.',
    )
  }
}
