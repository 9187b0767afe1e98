// What is started as a few files: the command `saqr` (dist/cli/start.js and what it loads of dist/) in dist/command/, what programs import and the
// process of a job in dist/package/. Finding and linking hundreds of modules takes longer than what most verbs do with them, and a second of a
// program's start. Verbs are loaded when they are called. Packages stay packages, but for those of many modules, of which few are needed (zod
// brings 60 languages): what is needed of them is put in, with their licences beside it.
import { copyFileSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { rolldown } from 'rolldown'
import { asAscii, takeBuiltins } from './builtins.mjs'

const dist = join(dirname(dirname(fileURLToPath(import.meta.url))), 'dist')

const packages = join(dirname(dist), 'node_modules')
/** packages that are put in */
const within = ['zod']

/**
 * What lies beside a module (kernels, workers, package.json) is found from where the module stands in dist/. Bundled again as CommonJS there is no
 * such place: instead of an invalid address that ends the import, one where nothing is, so that what is asked of saqr says so (DEVICE_BUNDLED).
 */
const NOWHERE = 'file:///C:/bundled/' // an address of Windows', too
const ownPlaces = {
  name: 'own-places',
  transform(code, id) {
    const place = relative(dist, id).replaceAll('\\', '/')
    if (place.startsWith('..')) return undefined
    const own = `import.meta.url || ${JSON.stringify(`${NOWHERE}${place}`)}`
    return code.replaceAll('import.meta.url', `new URL(${JSON.stringify(`../${place}`)}, ${own}).href`)
  },
}

const builtins = { name: 'builtins', renderChunk: takeBuiltins }

export async function bundle() {
  const main = reached('cli/main.js')
  // what asks a model is one file more: one behind the other, each finding out what else it wants, files take longer than what is in them
  const asks = new Set([...reached('cli/verbs/generate.js'), ...reached('devices/cpu/device.js')].filter((path) => !main.has(path)))
  const group = (name, of) => ({ name, test: (id) => of.has(id) })
  await put('command', { main: 'cli/start.js' }, [ownPlaces, builtins], [group('verbs', main), group('model', asks)])
  // at last: the bundler writes what a plugin gives it once more
  for (const name of readdirSync(join(dist, 'command')).filter((name) => name.endsWith('.js'))) {
    const file = join(dist, 'command', name)
    writeFileSync(file, asAscii(readFileSync(file, 'utf8')))
  }
  // a program may be bundled itself, for which an import is one
  await put('package', { index: 'index.js', 'job-worker': 'jobs/worker.js' }, [ownPlaces], [])
}

/** Modules that one loads before it runs, itself included. @param path in dist/ */
function reached(path, found = new Set()) {
  const file = join(dist, path)
  if (found.has(file)) return found
  found.add(file)
  for (const [, from, alone] of readFileSync(file, 'utf8').matchAll(
    /^(?:import|export) [^;'"]*from ['"](\.[^'"]+\.js)['"];$|^import ['"](\.[^'"]+\.js)['"];$/gm,
  ))
    reached(relative(dist, join(dirname(file), from ?? alone)), found)
  return found
}

/** @param entries of dist/, by the names that they have in the folder */
async function put(folder, entries, plugins, groups) {
  const out = join(dist, folder)
  rmSync(out, { recursive: true, force: true })
  const bundle = await rolldown({
    input: Object.fromEntries(Object.entries(entries).map(([name, path]) => [name, join(dist, path)])),
    platform: 'node',
    external: (id) => !/^[./]|^[a-z]:/i.test(id) && !within.includes(id),
    plugins,
    // which file a module lies in is said above, whoever asks for it late
    checks: { ineffectiveDynamicImport: false },
  })
  await bundle.write({ dir: out, format: 'esm', codeSplitting: { groups } })
  await bundle.close()
  for (const name of within) copyFileSync(join(packages, name, 'LICENSE'), join(out, `LICENSE-${name}`))
}
