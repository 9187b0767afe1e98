/** GPT-2's alphabet, in which tokenizers of bytes write their tokens: printable Latin-1 bytes stand for themselves, the others for U+0100 and on. */
export const byteOfCharacter: ReadonlyMap<string, number> = new Map(
  (function* () {
    for (let byte = 0, shifted = 256; byte < 256; byte++) {
      const printable = (byte > 0x20 && byte < 0x7f) || (byte > 0xa0 && byte !== 0xad)
      yield [String.fromCharCode(printable ? byte : shifted++), byte] as const
    }
  })(),
)

/** by byte */
export const characterOfByte: readonly string[] = [...byteOfCharacter].sort(([, a], [, b]) => a - b).map(([character]) => character)
