// Pages of the site as Chromium shows them, wide and narrow, after `npm run site`:
//   node tools/site-pictures.mjs FOLDER [--chromium PROGRAM] [PAGE …]
// PAGE: index (default), guides/first-fine-tune, api/classes/FineTuningJobs …; pictures are FOLDER/site-NAME.png and FOLDER/site-NAME-narrow.png
import { spawn } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { extname, join, normalize, resolve } from 'node:path'
import { parseArgs } from 'node:util'

const { values, positionals } = parseArgs({ options: { chromium: { type: 'string', default: 'chromium' } }, allowPositionals: true })
const [folder, ...named] = positionals
const dist = join(import.meta.dirname, '../site/dist')
if (folder === undefined || !existsSync(dist)) {
  console.error(folder === undefined ? 'usage: site-pictures.mjs FOLDER [--chromium PROGRAM] [PAGE …]' : 'run npm run site first')
  process.exit(2)
}
const pages = named.length > 0 ? named : ['index']
const missing = pages.find((page) => !existsSync(join(dist, `${page}.html`)))
if (missing) {
  console.error(`the site has no page ${missing}`)
  process.exit(2)
}

const TYPES = { '.html': 'text/html', '.js': 'text/javascript', '.css': 'text/css', '.svg': 'image/svg+xml', '.woff2': 'font/woff2' }
const server = createServer(({ url }, response) => {
  const file = join(dist, normalize(decodeURIComponent(new URL(url, 'http://site').pathname)))
  if (!existsSync(file) || extname(file) === '') return response.writeHead(404).end()
  response.writeHead(200, { 'content-type': TYPES[extname(file)] ?? 'application/octet-stream' }).end(readFileSync(file))
})
await new Promise((listening) => server.listen(0, '127.0.0.1', listening))

const profile = mkdtempSync(join(tmpdir(), 'saqr-site-'))
mkdirSync(folder, { recursive: true })

/** @param args what it shows and how; it may be a minute on a busy machine */
async function chromium(...args) {
  const fixed = ['--headless', '--no-sandbox', '--hide-scrollbars', '--virtual-time-budget=5000', `--user-data-dir=${profile}`]
  const child = spawn(values.chromium, [...fixed, ...args], { stdio: ['ignore', 'ignore', 'pipe'] })
  let said = ''
  child.stderr.on('data', (piece) => (said += piece))
  const code = await new Promise((end) => child.on('close', end).on('error', (error) => end(error.message)))
  if (code !== 0) throw new Error(`${values.chromium}: ${code}\n${said}`)
}

try {
  for (const page of pages)
    for (const [width, height, suffix] of [
      [1280, 800, ''],
      [500, 900, '-narrow'], // no narrower window is opened
    ]) {
      const picture = resolve(folder, `site-${page.replaceAll('/', '-')}${suffix}.png`)
      await chromium(
        `--window-size=${width},${height}`,
        `--screenshot=${picture}`,
        `http://127.0.0.1:${server.address().port}/${page}.html`,
      )
      console.log(picture)
    }
} finally {
  server.close()
  rmSync(profile, { recursive: true, force: true })
}
