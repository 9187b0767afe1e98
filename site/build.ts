/**
 * npm run site: the pages of docs/, and what every export is, as a site in site/dist/. Broken links end it with an error.
 *   npm run site -- [--base /saqr/]
 */
import { spawnSync } from 'node:child_process'
import { cpSync, existsSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import { dirname, join, posix } from 'node:path'
import { writePages } from './pages-of-docs.ts'

const site = import.meta.dirname
const root = dirname(site)
const pages = join(site, 'pages')
const dist = join(site, 'dist')

function run(command: string, ...args: string[]): void {
  const { status } = spawnSync(command, args, { cwd: site, stdio: 'inherit', shell: process.platform === 'win32' })
  if (status !== 0) process.exit(status ?? 1)
}

const installed = join(site, 'node_modules/.package-lock.json')
if (!existsSync(installed) || statSync(installed).mtimeMs < statSync(join(site, 'package-lock.json')).mtimeMs)
  run('npm', 'ci', '--no-audit', '--no-fund', '--loglevel=error')

rmSync(pages, { recursive: true, force: true })
rmSync(dist, { recursive: true, force: true })
told(writePages(root, pages))
run(process.execPath, 'node_modules/typedoc/bin/typedoc', '--logLevel', 'Warn')
cpSync(join(site, 'own'), pages, { recursive: true })
run(process.execPath, 'node_modules/vitepress/bin/vitepress.js', 'build', '.', ...process.argv.slice(2))

/** Ends here where links are broken. */
function told(broken: readonly string[]): void {
  if (broken.length === 0) return
  console.error(`${broken.length} broken links:\n${broken.join('\n')}`)
  process.exit(1)
}

/** Links to a place in a page that it doesn't have. */
function lostAnchors(): string[] {
  const base = /--base[= ](\S+)/.exec(process.argv.join(' '))?.[1] ?? '/'
  const files = readdirSync(dist, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.html'))
  const html = new Map(files.map((file) => [file, readFileSync(join(dist, file), 'utf8')]))
  const ids = new Map([...html].map(([file, text]) => [file, new Set([...text.matchAll(/\sid="([^"]+)"/g)].map(([, id]) => id!))]))
  return [...html].flatMap(([file, text]) =>
    [...text.matchAll(/href="([^"#]*)#([^"]+)"/g)].flatMap(([, path, hash]) => {
      if (path === undefined || hash === undefined) return []
      if (/^https?:/.test(path)) return []
      const page = path.startsWith('.') ? posix.join(posix.dirname(file), path) : path.replace(base, '')
      const to = path === '' ? file : page.replace(/\/$|^$/, (end) => `${end}index.html`)
      return ids.get(to)?.has(decodeURIComponent(hash)) ? [] : [`${file}: ${path}#${hash}`]
    }),
  )
}

told(lostAnchors())
