/** Which code makes rows: what is kept of it is of no use to another. */
import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'

let code: string | undefined
/** A digest of all code that could have a part in rows, and of Unicode's version, by which texts are normalised and split. */
export function madeBy(): string {
  if (code !== undefined) return code
  const root = new URL('../', import.meta.url)
  // command/ and package/ are the rest once more, put together (tools/command.mjs)
  const files = readdirSync(root, { recursive: true, encoding: 'utf8' }).filter(
    (name) => /\.[jt]s$/.test(name) && !name.endsWith('.d.ts') && !/^(command|package)[/\\]/.test(name),
  )
  const digest = createHash('sha256').update(process.versions.unicode ?? '')
  // what it needs by exact versions, its own
  digest.update(readFileSync(new URL('../package.json', root)))
  for (const name of files.sort()) digest.update(name).update(readFileSync(new URL(name, root)))
  return (code = digest.digest('hex'))
}
