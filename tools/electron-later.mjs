// What Node has had since 18.15, for the only program of Electron's that packages carry (tools/electron.mjs). Never shipped.
import { createHash } from 'node:crypto'
import { freemem } from 'node:os'

export const hash = (name, data, form = 'hex') => createHash(name).update(data).digest(form)

export function crc32(data, before = 0) {
  let c = ~before
  for (const byte of Buffer.from(data)) {
    c ^= byte
    for (let k = 0; k < 8; k++) c = c & 1 ? (c >>> 1) ^ 0xedb88320 : c >>> 1
  }
  return ~c >>> 0
}

process.availableMemory ??= freemem
process.constrainedMemory ??= () => 0
AbortSignal.any ??= (signals) => {
  const one = new AbortController()
  for (const signal of signals) {
    if (signal.aborted) one.abort(signal.reason)
    else signal.addEventListener('abort', () => one.abort(signal.reason), { signal: one.signal })
  }
  return one.signal
}
