// Keeps what was run where in src/devices/proofs.ts, from which `saqr doctor` and the README's table tell it.
import { readFileSync, renameSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { runInNewContext } from 'node:vm'
import './ts.mjs'

const { version } = await import('../src/hub/version.ts')
const file = join(dirname(dirname(fileURLToPath(import.meta.url))), 'src/devices/proofs.ts')

/**
 * @param {Omit<import('../src/devices/proofs.ts').Proof, 'saqr' | 'on'>} held takes the place of an older one of the same
 * @param {string} saqr the version that ran, this checkout's by default
 */
export function record(held, saqr = version()) {
  const known = knownNow()
  const proof = { ...held, saqr, on: new Date().toISOString().slice(0, 10) }
  const key = ({ platform, what, variant, runtime }) => [platform, what, variant, runtime.split('.')[0]].join(' ')
  const at = known.findIndex((each) => key(each) === key(proof))
  if (at < 0) known.push(proof)
  else known[at] = proof
  known.sort((a, b) => (key(a) < key(b) ? -1 : 1))
  write(known)
}

/** whoever reads meanwhile finds a whole file */
function write(proofs) {
  const aside = `${file}.${process.pid}`
  writeFileSync(aside, pageOf(proofs))
  renameSync(aside, file)
}

/** as the file has them at this moment: what was recorded while this ran is kept there too */
function knownNow() {
  const text = readFileSync(file, 'utf8')
  const from = text.indexOf(LIST) + LIST.length - 1
  return runInNewContext(text.slice(from, text.indexOf(END, from) + END.length))
}

const END = '\n]\n'
const LIST = 'export const PROOFS: readonly Proof[] = ['

/** the file with these in its list, as the formatter would have it */
function pageOf(proofs) {
  const value = (it) => (typeof it === 'string' ? `'${it.replaceAll("'", "\\'")}'` : String(it))
  const item = (proof) =>
    `  {\n${Object.entries(proof)
      .map(([name, it]) => `    ${name}: ${value(it)},\n`)
      .join('')}  },`
  const text = readFileSync(file, 'utf8')
  return `${text.slice(0, text.indexOf(LIST))}${LIST}
${proofs.map(item).join('\n')}
]
`
}
