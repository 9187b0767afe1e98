import { readFileSync } from 'node:fs'

/** As package.json has it. */
export function version(): string {
  return (JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as { version: string }).version
}

/** What runs this program, with its version. */
export function runtime({ node, bun, deno }: Partial<Record<string, string>> = process.versions): string {
  return bun !== undefined ? `Bun ${bun}` : deno !== undefined ? `Deno ${deno}` : `Node ${node}`
}
