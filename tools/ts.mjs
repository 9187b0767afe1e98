// Lets Node 20 run the TypeScript of bench/ and tools/:  node --import ./tools/ts.mjs bench/ops.ts
// Types are taken away file by file as it is loaded; nothing is checked (tools/test.mjs does that). Rolldown does it: TypeScript itself would
// take a second to load, in every program that is started so.
import { register } from 'node:module'
import { pathToFileURL } from 'node:url'

const hooks = `
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { transformSync } from 'rolldown/utils'
const options = { target: 'es2023', sourcemap: true, typescript: { onlyRemoveTypeImports: true } }
export async function load(url, context, next) {
  if (!url.endsWith('.ts')) return next(url, context)
  const path = fileURLToPath(url)
  const { code, map, errors } = transformSync(path, readFileSync(path, 'utf8'), options)
  if (errors.length > 0) throw new SyntaxError(path + ':\\n' + errors.map((error) => error.codeframe ?? error.message).join('\\n'))
  const mapped = Buffer.from(JSON.stringify(map)).toString('base64')
  return { format: 'module', source: code + '\\n//# sourceMappingURL=data:application/json;base64,' + mapped, shortCircuit: true }
}
`
register(`data:text/javascript,${encodeURIComponent(hooks.replace("'rolldown/utils'", `'${rolldown()}'`))}`, pathToFileURL('./'))

function rolldown() {
  try {
    return import.meta.resolve('rolldown/utils')
  } catch {
    throw new Error('The packages that a checkout takes are not installed here: `node tools/ready.mjs` installs them.')
  }
}
