/**
 * Prepared rows as a file: a line that names the format, the length of a header of JSON, the header, int32 numbers, a byte a target, and
 * last the sha256 of all that. A file that is anything else is none.
 */
import { createHash } from 'node:crypto'
import { statSync } from 'node:fs'
import { isFile, openAtomic, readExactly, withFile } from '../hub/files.ts'
import { Counts } from './counts.ts'
import type { Example } from './example.ts'
import type { Prepared } from './prepare.ts'

/** another number where the layout becomes another */
const MAGIC = Buffer.from('saqr rows 2\n')
/** numbers of an example: tokens, number of its row, sequences, prompts, wanted */
const WIDTH = 5
const HASH = 32
/** numbers written at once */
const CHUNK = 1 << 18
/** bytes of the largest file: more is not read at once */
export const LARGEST = 2 ** 31 - 1

interface Header {
  key: string
  source: string
  /** rows by their lengths */
  lengths: [length: number, rows: number][]
  examples: number
  /** of all examples: tokens, starts, prompts */
  tokens: number
  starts: number
  prompts: number
  rest: Omit<Prepared, 'examples' | 'lengths'>
}

const count = (examples: readonly Example[], of: (example: Example) => number) => examples.reduce((sum, example) => sum + of(example), 0)

/** null: too large, or of several sources. @throws SaqrError FORMAT_… */
export function writePrepared(path: string, key: string, { examples, lengths, ...rest }: Prepared): number | null {
  const source = examples[0]!.source
  const header: Header = {
    key,
    source,
    lengths: lengths.sorted(),
    examples: examples.length,
    tokens: count(examples, ({ ids }) => ids.length),
    starts: count(examples, ({ starts }) => starts?.length ?? 0),
    prompts: count(examples, ({ prompts }) => prompts?.length ?? 0),
    rest,
  }
  const json = Buffer.from(JSON.stringify(header))
  // numbers stand at multiples of four
  const padded = Buffer.concat([json, Buffer.alloc(-(MAGIC.length + 4 + json.length) & 3, ' ')])
  const size = MAGIC.length + 4 + padded.length + 4 * numbersOf(header) + header.tokens + HASH
  if (size > LARGEST || examples.some((example) => example.source !== source)) return null
  const hash = createHash('sha256')
  const file = openAtomic(path)
  const write = (bytes: Uint8Array) => {
    hash.update(bytes)
    file.write(bytes)
  }
  write(MAGIC)
  write(new Uint8Array(Uint32Array.of(padded.length).buffer))
  write(padded)
  writeAll(numbers(examples), Int32Array, write)
  writeAll(
    examples.map(({ targets }) => targets),
    Uint8Array,
    write,
  )
  file.write(hash.digest())
  file.commit()
  return size
}

const numbersOf = ({ examples, tokens, starts, prompts }: Header) => WIDTH * examples + tokens + starts + prompts

function* numbers(examples: readonly Example[]): Generator<ArrayLike<number>> {
  for (const { ids, row, starts, prompts, wanted } of examples)
    yield [ids.length, row, starts?.length ?? -1, prompts?.length ?? -1, wanted === undefined ? -1 : Number(wanted)]
  for (const { starts } of examples) if (starts) yield starts
  for (const { prompts } of examples) if (prompts) yield prompts
  for (const { ids } of examples) yield ids
}

/** Lists one behind the other, in few writes. */
function writeAll(
  lists: Iterable<ArrayLike<number>>,
  Kind: typeof Int32Array | typeof Uint8Array,
  write: (bytes: Uint8Array) => void,
): void {
  const chunk = new Kind(CHUNK)
  let filled = 0
  const flush = () => {
    write(new Uint8Array(chunk.buffer, 0, filled * chunk.BYTES_PER_ELEMENT))
    filled = 0
  }
  for (const list of lists) {
    if (filled + list.length > CHUNK) flush()
    if (list.length > CHUNK) {
      write(new Uint8Array(Kind.from(list).buffer))
      continue
    }
    chunk.set(list, filled)
    filled += list.length
  }
  flush()
}

/** null: there is no such file, or it is not whole. */
export function readPrepared(path: string, key: string): Prepared | null {
  if (!isFile(path)) return null
  const { size } = statSync(path)
  if (size > LARGEST || size < MAGIC.length + 4 + HASH) return null
  const bytes = withFile(path, (fd) => readExactly(fd, path, 0, size))
  const body = bytes.subarray(0, size - HASH)
  const whole = Buffer.compare(createHash('sha256').update(body).digest(), bytes.subarray(size - HASH)) === 0
  if (!whole || Buffer.compare(bytes.subarray(0, MAGIC.length), MAGIC) !== 0) return null
  const at = MAGIC.length + 4
  const length = new DataView(bytes.buffer, bytes.byteOffset + MAGIC.length).getUint32(0, true)
  const header = JSON.parse(Buffer.from(body.subarray(at, at + length)).toString()) as Header
  if (header.key !== key) return null
  const all = new Int32Array(bytes.buffer, bytes.byteOffset + at + length, numbersOf(header))
  return taken(header, all, body.subarray(at + length + 4 * all.length))
}

function taken(header: Header, all: Int32Array, targets: Uint8Array): Prepared {
  const { lengths, source, rest } = header
  let at = 0
  const next = (n: number) => all.subarray(at, (at += n))
  const facts = next(WIDTH * header.examples)
  const starts = cursor(next(header.starts))
  const prompts = cursor(next(header.prompts))
  const ids = cursor(next(header.tokens))
  const marks = cursor(targets)
  const examples = Array.from({ length: header.examples }, (_, i): Example => {
    const [tokens, row, sequences, asked, wanted] = facts.subarray(WIDTH * i, WIDTH * (i + 1)) as unknown as [
      number,
      number,
      number,
      number,
      number,
    ]
    return {
      ids: ids(tokens),
      targets: marks(tokens),
      row,
      source,
      ...(sequences < 0 ? {} : { starts: starts(sequences) }),
      ...(asked < 0 ? {} : { prompts: [...prompts(asked)] }),
      ...(wanted < 0 ? {} : { wanted: wanted === 1 }),
    }
  })
  return { examples, lengths: new Counts(lengths), ...rest }
}

/** Pieces of a list, one after the other. */
function cursor<T extends Int32Array | Uint8Array>(list: T): (n: number) => T {
  let at = 0
  return (n) => list.subarray(at, (at += n)) as T
}
