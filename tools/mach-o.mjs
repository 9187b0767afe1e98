// What a macOS library says of itself (mach-o/loader.h and nlist.h of Apple's headers; the signature as in xnu's cs_blobs.h).
import { createHash } from 'node:crypto'

const LOAD_DYLIB = 0xc
const SYMTAB = 2
const BUILD_VERSION = 0x32
const CODE_SIGNATURE = 0x1d
const CODE_DIRECTORY = 0xfade0c02
const SHA256 = 2

/**
 * @param {Buffer} bytes of a library for one processor
 * @returns names with their leading underscore, the libraries it is linked to, the oldest system it says it runs on, and whether each page
 *   is what was signed (null: it has no signature). @throws Error for another kind of file
 */
export function readMachO(bytes) {
  if (bytes.readUInt32LE(0) !== 0xfeedfacf) throw new Error('not a 64-bit Mach-O file')
  const file = { exports: new Set(), imports: [], libraries: [], oldest: '', signature: null }
  let at = 32
  for (let n = bytes.readUInt32LE(16); n > 0; n--) {
    const word = (i) => bytes.readUInt32LE(at + i)
    if ((word(0) & 0x7fffffff) === LOAD_DYLIB) file.libraries.push(text(bytes, at + word(8)))
    if (word(0) === BUILD_VERSION) file.oldest = `${word(12) >>> 16}.${(word(12) >>> 8) & 255}`
    if (word(0) === SYMTAB) readSymbols(bytes, word(8), word(12), word(16), file)
    if (word(0) === CODE_SIGNATURE) file.signature = signatureOf(bytes, word(8))
    at += word(4)
  }
  return file
}

const text = (bytes, from) => bytes.toString('latin1', from, bytes.indexOf(0, from))

function readSymbols(bytes, symbols, count, strings, { exports, imports }) {
  for (let i = 0; i < count; i++) {
    const at = symbols + 16 * i
    const type = bytes[at + 4]
    const [debug, external, kind] = [type & 0xe0, type & 1, type & 0x0e]
    if (debug || !external) continue
    const name = text(bytes, strings + bytes.readUInt32LE(at))
    if (kind === 0) imports.push(name)
    else if (!(type & 0x10)) exports.add(name)
  }
}

/** an ad hoc one: hashes of the pages, nobody's name */
function signatureOf(bytes, start) {
  for (let i = 0; i < bytes.readUInt32BE(start + 8); i++) {
    const at = start + bytes.readUInt32BE(start + 16 + 8 * i)
    if (bytes.readUInt32BE(at) !== CODE_DIRECTORY) continue
    const [hashes, pages, limit] = [16, 28, 32].map((field) => bytes.readUInt32BE(at + field))
    const [size, kind, shift] = [bytes[at + 36], bytes[at + 37], bytes[at + 39]]
    let holds = kind === SHA256 && limit === start
    for (let page = 0; page < pages; page++) {
      const part = bytes.subarray(page << shift, Math.min((page + 1) << shift, limit))
      const signed = bytes.subarray(at + hashes + size * page, at + hashes + size * (page + 1))
      holds &&= createHash('sha256').update(part).digest().equals(signed)
    }
    return { holds, pages }
  }
  return { holds: false, pages: 0 }
}
