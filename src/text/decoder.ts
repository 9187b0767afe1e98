/** Tokens back to text: the decoder of a tokenizer.json, as the Rust library runs it. Each step maps a list of pieces to another. */
import { byteOfCharacter, characterOfByte } from '../formats/byte-alphabet.ts'
import type { Json, TokenizerJson } from './definition.ts'

type Step = (pieces: string[]) => string[]

const encoder = new TextEncoder()
const lossy = new TextDecoder('utf-8', { ignoreBOM: true })
const strict = new TextDecoder('utf-8', { ignoreBOM: true, fatal: true })

/** The bytes of a token written in GPT-2's alphabet; one that isn't (an added token) is text. */
export function bytesOfToken(token: string): Uint8Array {
  const bytes = Array.from(token, (c) => byteOfCharacter.get(c))
  return bytes.includes(undefined) ? encoder.encode(token) : Uint8Array.from(bytes as number[])
}

/** A text's bytes, written in GPT-2's alphabet. */
export function spelledBytes(text: string): string {
  let spelled = ''
  for (const byte of encoder.encode(text)) spelled += characterOfByte[byte]
  return spelled
}

/** The byte that a token like <0xE4> stands for. */
export function byteFallback(token: string): number | undefined {
  const hex = /^<0x([0-9A-F]{2})>$/.exec(token)?.[1]
  return hex === undefined ? undefined : Number.parseInt(hex, 16)
}

export function decoderOf(json: TokenizerJson): (tokens: string[]) => string {
  if (!json.decoder) return (tokens) => tokens.join(' ')
  const step = stepOf(json.decoder)
  return (tokens) => step(tokens).join('')
}

function stepOf(part: Json): Step {
  switch (part.type) {
    case 'Sequence': {
      const steps = (part.decoders as Json[]).map(stepOf)
      return (pieces) => steps.reduce((list, step) => step(list), pieces)
    }
    case 'ByteLevel':
      return (pieces) => [lossy.decode(Buffer.concat(pieces.map(bytesOfToken)))]
    case 'ByteFallback':
      return joinBytes
    case 'Fuse':
      return (pieces) => [pieces.join('')]
    case 'Strip':
      return (pieces) => pieces.map((piece) => stripped(piece, part.content as string, part.start as number, part.stop as number))
    case 'Metaspace': {
      const replacement = (part.replacement as string | undefined) ?? '▁'
      const first =
        part.prepend_scheme === 'never'
          ? (piece: string) => piece
          : (piece: string) => (piece.startsWith(replacement) ? piece.slice(replacement.length) : piece)
      return (pieces) => pieces.map((piece, i) => (i === 0 ? first(piece) : piece).replaceAll(replacement, ' '))
    }
    default: {
      // Replace, of a text: the only other one that supported.ts lets through
      const from = (part.pattern as { String: string }).String
      return (pieces) => pieces.map((piece) => piece.split(from).join(part.content as string))
    }
  }
}

/** Runs of byte tokens as UTF-8; where they are not, every byte is U+FFFD. */
function joinBytes(pieces: string[]): string[] {
  const joined: string[] = []
  let run: number[] = []
  const flush = () => {
    if (run.length === 0) return
    try {
      joined.push(strict.decode(Uint8Array.from(run)))
    } catch {
      joined.push('\uFFFD'.repeat(run.length))
    }
    run = []
  }
  for (const piece of pieces) {
    const byte = byteFallback(piece)
    if (byte === undefined) {
      flush()
      joined.push(piece)
    } else run.push(byte)
  }
  flush()
  return joined
}

function stripped(piece: string, content: string, start: number, stop: number): string {
  let from = 0
  let to = piece.length
  while (from < start && piece.startsWith(content, from)) from += content.length
  while (to > from && piece.length - to < stop && piece.endsWith(content)) to -= content.length
  return piece.slice(from, to)
}
