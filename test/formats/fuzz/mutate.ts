/** Mutations of files, from a seed: what a broken disk, a cut download or somebody with a purpose makes of them. */

export interface Random {
  /** whole number in [0, n) */
  below(n: number): number
}

/** xorshift32 */
export function random(seed: number): Random {
  let state = (Math.imul(seed + 1, 0x9e3779b1) | 1) >>> 0
  return {
    below(n) {
      state ^= state << 13
      state ^= state >>> 17
      state ^= state << 5
      return (state >>> 0) % n
    },
  }
}

const integers = [0n, 1n, 7n, 8n, 31n, 32n, 255n, 65535n, 2n ** 31n, 2n ** 32n - 1n, 2n ** 53n, 2n ** 62n, 2n ** 63n, 2n ** 64n - 1n]
const tokens = [
  '{',
  '}',
  '[',
  ']',
  '"',
  ',',
  ':',
  '-1',
  '0',
  '1e999',
  '9007199254740993',
  'null',
  'true',
  '"__proto__"',
  '"\\u0000"',
  '[[[[',
  '\\',
  '1.5',
  'NaN',
]

/** Digits in place of digits, as many: lengths and offsets around them stay true, so that the lie is found by what it says alone. */
function changeNumber(bytes: Buffer, at: number, r: Random): void {
  const isDigit = (i: number) => bytes[i]! >= 0x30 && bytes[i]! <= 0x39
  let from = at
  while (from < bytes.length && !isDigit(from)) from++
  for (let i = from; i < bytes.length && isDigit(i); i++) if (r.below(2)) bytes[i] = 0x30 + r.below(10)
}

/** One to four changes, each of a random kind at a random place; the first 2 KiB, where headers are, more often. Half of the files change softly. */
export function mutate(original: Uint8Array, r: Random, other: Uint8Array): Buffer {
  let bytes = Buffer.from(original)
  const place = () => r.below(Math.max(1, r.below(2) ? Math.min(bytes.length, 2048) : bytes.length))
  const soft = r.below(2) === 1
  for (let n = 1 + r.below(4); n > 0 && bytes.length > 0; n--) {
    const at = place()
    const kind = soft ? 10 + r.below(3) : r.below(9)
    if (kind === 0) bytes[at]! ^= 1 << r.below(8)
    else if (kind === 1) bytes[at] = r.below(256)
    else if (kind === 2) bytes = bytes.subarray(0, at)
    else if (kind === 3) bytes = Buffer.concat([bytes.subarray(0, at), Buffer.alloc(1 + r.below(64), r.below(256)), bytes.subarray(at)])
    else if (kind === 4) bytes = Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + 1 + r.below(64))])
    else if (kind === 5 && at + 8 <= bytes.length) bytes.writeBigUInt64LE(integers[r.below(integers.length)]!, at)
    else if (kind === 6 && at + 4 <= bytes.length) bytes.writeUInt32LE(Number(integers[r.below(10)]!), at)
    else if (kind === 7) {
      const token = Buffer.from(tokens[r.below(tokens.length)]!)
      bytes = Buffer.concat([bytes.subarray(0, at), token, bytes.subarray(at + r.below(token.length + 2))])
    } else if (kind === 10) changeNumber(bytes, at, r)
    // a letter for a letter: names, types and keys that are almost right
    else if (kind === 11 && /[a-zA-Z]/.test(String.fromCharCode(bytes[at]!))) bytes[at] = 0x61 + r.below(26)
    else if (kind === 12 && bytes[at]! < 0x20) bytes[at] = r.below(0x20)
    else if (kind < 10) {
      // a piece of another file, or of another place of this one
      const from = r.below(other.length)
      bytes = Buffer.concat([bytes.subarray(0, at), other.subarray(from, from + 1 + r.below(200)), bytes.subarray(at + r.below(64))])
    }
  }
  return bytes
}
