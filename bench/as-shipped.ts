/** A benchmark's own process runs the compiled library, as users do: a TypeScript loader in it would count in its memory. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { pathToFileURL } from 'node:url'

/** Compiles files of this folder into `out`, over dist/ instead of src/; returns the first one's path. In a pack everything is compiled already. */
export async function asShipped(files: readonly string[], out: string): Promise<string> {
  if (import.meta.filename.endsWith('.js')) return join(import.meta.dirname, files[0]!.replace(/\.ts$/, '.js'))
  const { default: ts } = await import('typescript')
  const options = {
    module: ts.ModuleKind.ESNext,
    target: ts.ScriptTarget.ES2023,
    verbatimModuleSyntax: true,
    rewriteRelativeImportExtensions: true,
  }
  mkdirSync(out, { recursive: true })
  writeFileSync(join(out, 'package.json'), '{"type":"module"}')
  const dist = pathToFileURL(join(import.meta.dirname, '../dist')).href
  const target = (file: string) => join(out, basename(file).replace(/\.ts$/, '.js'))
  for (const file of files) {
    const { outputText } = ts.transpileModule(readFileSync(join(import.meta.dirname, file), 'utf8'), { compilerOptions: options })
    writeFileSync(target(file), outputText.replaceAll(/(['"])\.\.\/src\//g, `$1${dist}/`))
  }
  return target(files[0]!)
}
