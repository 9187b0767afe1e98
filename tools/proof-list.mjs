// The list of src/devices/proofs.ts, changed by one at a time (tools/proofs.mjs).
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { runInNewContext } from 'node:vm'

/** milliseconds that recordings wait for each other, each of which takes a few */
const PATIENCE = 30_000

/**
 * Several may end in the same instant: one after the other, each keeps what the others recorded.
 * @param {import('../src/devices/proofs.ts').Proof} proof takes the place of an older one of the same
 * @param {{ file: string, lock: string }} place the list, and a folder whose lock is held by whoever changes it
 * @param {(folder: string) => () => void} lockFolder of src/train/lock.ts
 */
export function keep(proof, { file, lock }, lockFolder) {
  mkdirSync(lock, { recursive: true })
  const release = taken(lockFolder, lock)
  try {
    const known = knownNow(file)
    const key = ({ platform, what, variant, runtime }) => [platform, what, variant, runtime.split('.')[0]].join(' ')
    const at = known.findIndex((each) => key(each) === key(proof))
    if (at < 0) known.push(proof)
    else known[at] = proof
    known.sort((a, b) => (key(a) < key(b) ? -1 : 1))
    write(file, known)
  } finally {
    release()
  }
}

/** the folder's lock, when it is free; what ends it */
function taken(lockFolder, folder) {
  const until = Date.now() + PATIENCE
  for (;;) {
    try {
      return lockFolder(folder)
    } catch (error) {
      if (error.code !== 'TRAIN_LOCKED' || Date.now() > until) throw error
    }
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 10)
  }
}

/** whoever reads meanwhile finds a whole file */
function write(file, proofs) {
  const aside = `${file}.${process.pid}`
  writeFileSync(aside, pageOf(readFileSync(file, 'utf8'), proofs))
  renameSync(aside, file)
}

function knownNow(file) {
  const text = readFileSync(file, 'utf8')
  const from = text.indexOf(LIST) + LIST.length - 1
  return runInNewContext(text.slice(from, text.indexOf(END, from) + END.length))
}

const END = '\n]\n'
const LIST = 'export const PROOFS: readonly Proof[] = ['

/** the file's text with these in its list, as the formatter would have it */
function pageOf(text, proofs) {
  const value = (it) => (typeof it === 'string' ? `'${it.replaceAll("'", "\\'")}'` : String(it))
  const item = (proof) =>
    `  {\n${Object.entries(proof)
      .map(([name, it]) => `    ${name}: ${value(it)},\n`)
      .join('')}  },`
  return `${text.slice(0, text.indexOf(LIST))}${LIST}
${proofs.map(item).join('\n')}
]
`
}
