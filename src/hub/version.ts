import { readFileSync } from 'node:fs'
import { SaqrError } from '../error.ts'

/**
 * As package.json has it.
 * @throws SaqrError DEVICE_BUNDLED where a bundler took this file out of its package, which kernels and libraries are found by
 */
export function version(file = new URL('../../package.json', import.meta.url)): string {
  const own = readOwn(file)
  if (own?.name !== 'saqr')
    throw new SaqrError(
      'DEVICE_BUNDLED',
      `saqr was bundled away from its kernels and package.json (${file.href} is another's or isn't there): leave it out of the bundle (esbuild --external:saqr, Vite ssr.external, webpack externals) and install it beside; one executable of it (bun build --compile, Node's SEA) there is none of: start the program from files`,
    )
  return own.version
}

function readOwn(file: URL): { name: string; version: string } | undefined {
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as { name: string; version: string }
  } catch {
    return undefined
  }
}

/** What runs this program, with its version. */
export function runtime({ node, bun, deno }: Partial<Record<string, string>> = process.versions): string {
  return bun !== undefined ? `Bun ${bun}` : deno !== undefined ? `Deno ${deno}` : `Node ${node}`
}
