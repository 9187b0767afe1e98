// Keeps what was run where in src/devices/proofs.ts, from which `saqr doctor` and the README's table tell it.
import { writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import './ts.mjs'

const { PROOFS } = await import('../src/devices/proofs.ts')
const file = join(dirname(dirname(fileURLToPath(import.meta.url))), 'src/devices/proofs.ts')
const known = [...PROOFS]

/** @param {import('../src/devices/proofs.ts').Proof} proof takes the place of an older one of the same */
export function record(proof) {
  const key = ({ platform, what, variant, runtime }) => [platform, what, variant, runtime.split('.')[0]].join(' ')
  const at = known.findIndex((each) => key(each) === key(proof))
  if (at < 0) known.push(proof)
  else known[at] = proof
  known.sort((a, b) => (key(a) < key(b) ? -1 : 1))
  writeFileSync(file, pageOf(known))
}

/** the file, as the formatter would have it */
function pageOf(proofs) {
  const value = (it) => (typeof it === 'string' ? `'${it.replaceAll("'", "\\'")}'` : String(it))
  const line = (proof) =>
    `  { ${Object.entries(proof)
      .map(([name, it]) => `${name}: ${value(it)}`)
      .join(', ')} },`
  return `/** What ran where. Written by tools/platforms.mjs and tools/symbols.mjs with --record, which ran it. */

export interface Proof {
  /** of platforms.ts */
  platform: string
  /** \`product\`: the packages as a user installs them, quickstart, a training killed and resumed; \`kernels\`: ops' cases against the definitions, and a small training against x86-64's; \`symbols\`: what the library asks of its system, held against the oldest one's list */
  what: 'product' | 'kernels' | 'symbols'
  variant: string
  /** what ran it; of symbols what it was held against */
  runtime: string
  /** the emulator; '' where it ran on the processor itself */
  under: string
  /** ops of kernels */
  ops: number
}

export const PROOFS: readonly Proof[] = [
${proofs.map(line).join('\n')}
]
`
}
