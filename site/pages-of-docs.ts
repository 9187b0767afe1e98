/**
 * The repository's pages as VitePress wants them: docs/, the READMEs and CONTRIBUTING.md, with links that lead to each other's pages. A file
 * that a page links to (a test, raw output, a source) comes along as text, a picture as it is; a link to nothing is told.
 */
import { cpSync, type Dirent, existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { dirname, join, posix } from 'node:path'

/** file of the repository -> page of the site */
function pagesOf(root: string): Map<string, string> {
  const pages = new Map([
    ['README.md', 'about.md'],
    ['README.ar.md', 'ar/index.md'],
    ['CONTRIBUTING.md', 'contributing.md'],
    ['tools/oracle/README.md', 'oracles.md'],
    ['docs/README.md', 'overview.md'],
    ['examples/nextjs/README.md', 'in-nextjs.md'],
    ['examples/electron/README.md', 'in-electron.md'],
  ])
  for (const name of readdirSync(join(root, 'docs'), { recursive: true, encoding: 'utf8' }))
    if (name.endsWith('.md') && name !== 'README.md') pages.set(`docs/${name}`, name)
  return pages
}

const FENCE = /^```/
const PICTURE = /\.(svg|png)$/
const LINK = /(\]\()([^()\s]+)(\))/g

/** Writes the pages into `target`. @returns links to nothing, "page: link" */
export function writePages(root: string, target: string): string[] {
  const pages = pagesOf(root)
  const broken: string[] = []
  const texts = new Set<string>()
  const pictures = new Set<string>()
  const folders = new Set<string>()
  for (const [file, page] of pages) {
    const link = (href: string): string => {
      if (/^(https?:|mailto:|#)/.test(href)) return href
      const [path = '', hash] = href.split('#')
      const to = posix.normalize(posix.join(posix.dirname(file), path)).replace(/\/$/, '')
      const anchor = hash === undefined ? '' : `#${hash}`
      if (pages.has(to)) return `/${pages.get(to)}${anchor}`
      if (to.startsWith('..') || !existsSync(join(root, to))) {
        broken.push(`${file}: ${href}`)
        return href
      }
      if (PICTURE.test(to)) {
        pictures.add(to)
        return `/tree/${to}`
      }
      const isFolder = statSync(join(root, to)).isDirectory()
      ;(isFolder ? folders : texts).add(to)
      return isFolder ? `/tree/${to}.md` : `/tree/${to}.txt`
    }
    put(join(target, page), linked(readFileSync(join(root, file), 'utf8'), link))
  }
  for (const folder of folders) {
    const entries = readdirSync(join(root, folder), { withFileTypes: true }).sort((a, b) => (a.name < b.name ? -1 : 1))
    const line = (entry: Dirent): string => {
      if (entry.isDirectory()) return `- ${entry.name}/`
      texts.add(`${folder}/${entry.name}`)
      return `- [${entry.name}](/tree/${folder}/${entry.name}.txt)`
    }
    put(join(target, `tree/${folder}.md`), `---\nsearch: false\n---\n\n# ${folder}\n\n${entries.map(line).join('\n')}\n`)
  }
  const copy = (file: string, as: string) => cpSync(join(root, file), join(target, 'public/tree', as))
  for (const text of texts) copy(text, `${text}.txt`)
  for (const picture of pictures) copy(picture, picture)
  return broken
}

/** Every link of a page but those in code. */
function linked(page: string, link: (href: string) => string): string {
  let code = false
  return page
    .split('\n')
    .map((line) => {
      if (FENCE.test(line)) code = !code
      if (code || FENCE.test(line)) return line
      return line
        .split(/(`[^`]*`)/)
        .map((part, i) =>
          i % 2 === 1 ? part : part.replace(LINK, (_, open: string, href: string, close: string) => open + link(href) + close),
        )
        .join('')
    })
    .join('\n')
}

function put(path: string, text: string): void {
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, text)
}
