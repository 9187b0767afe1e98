// Keeps what was run where in src/devices/proofs.ts, from which `saqr doctor` and the README's table tell it.
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { keep } from './proof-list.mjs'
import './ts.mjs'

const { version } = await import('../src/hub/version.ts')
const { lockFolder } = await import('../src/train/lock.ts')
const root = dirname(dirname(fileURLToPath(import.meta.url)))
const PLACE = { file: join(root, 'src/devices/proofs.ts'), lock: join(root, 'native/build/proofs') }

/**
 * @param {Omit<import('../src/devices/proofs.ts').Proof, 'saqr' | 'on'>} held takes the place of an older one of the same
 * @param {string} saqr the version that ran, this checkout's by default
 */
export function record(held, saqr = version()) {
  keep({ ...held, saqr, on: new Date().toISOString().slice(0, 10) }, PLACE, lockFolder)
}
