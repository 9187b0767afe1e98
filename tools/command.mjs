// The command `saqr` as a few files: dist/cli/main.js and what it loads of dist/, put together into dist/command/. Finding and linking
// hundreds of modules takes longer than what most verbs do with them. Verbs are loaded when they are called. Packages stay packages,
// but for those of many modules, of which few are needed (zod brings 60 languages): what is needed of them is put in, with their licences beside it.
import { copyFileSync, rmSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { rolldown } from 'rolldown'
import { takeBuiltins } from './builtins.mjs'

const dist = join(dirname(dirname(fileURLToPath(import.meta.url))), 'dist')
const out = join(dist, 'command')

const packages = join(dirname(dist), 'node_modules')
/** packages that are put in */
const within = ['zod']

/** What lies beside a module (kernels, workers, package.json) is found from where the module stands in dist/. */
const ownPlaces = {
  name: 'own-places',
  transform(code, id) {
    const place = relative(dist, id).replaceAll('\\', '/')
    if (!place.startsWith('..'))
      return code.replaceAll('import.meta.url', `new URL(${JSON.stringify(`../${place}`)}, import.meta.url).href`)
  },
}

const builtins = { name: 'builtins', renderChunk: takeBuiltins }

export async function bundleCommand() {
  rmSync(out, { recursive: true, force: true })
  const bundle = await rolldown({
    input: join(dist, 'cli/main.js'),
    platform: 'node',
    external: (id) => !/^[./]|^[a-z]:/i.test(id) && !within.includes(id),
    plugins: [ownPlaces, builtins],
  })
  await bundle.write({ dir: out, format: 'esm' })
  await bundle.close()
  for (const name of within) copyFileSync(join(packages, name, 'LICENSE'), join(out, `LICENSE-${name}`))
}
