/** Parquet rows with their numbers as the file has them: 64-bit integers whole, floats as floats (20.0), texts to the byte. */
import type { AsyncBuffer, Compressors, SchemaTree } from 'hyparquet'
import { SaqrError } from '../error.ts'
import { fileError } from '../formats/files.ts'
import { isObject } from '../formats/json.ts'
import { Float, rememberNumber } from '../formats/json-exact.ts'
import { isZipped, unpackWhole } from './gzip.ts'
import type { Row, Rows } from './rows.ts'

const utf8 = new TextDecoder('utf-8', { ignoreBOM: true, fatal: true })
/** bytes of the least file there is: its two marks, and how long what stands between them is */
const LEAST = 12

/** What isn't UTF-8 stays bytes: columns that say nothing of themselves hold either. */
function textOf(bytes: Uint8Array): string | Uint8Array {
  try {
    return bytes && utf8.decode(bytes)
  } catch {
    return bytes
  }
}

/** @throws SaqrError DATA_FORMAT, FORMAT_… */
export async function readParquet(path: string): Promise<Rows> {
  const rows: Row[] = []
  for await (const group of parquetGroups(path)) for (const row of group) rows.push(row)
  return { rows, unit: 'row' }
}

/** The rows of one row group after the other. @throws SaqrError DATA_FORMAT, FORMAT_… */
export async function* parquetGroups(path: string): AsyncGenerator<Row[]> {
  // 2.5 MB of process, for whoever has such a file
  const [{ asyncBufferFromFile, parquetMetadataAsync, parquetReadObjects, parquetSchema }, { compressors }] = await Promise.all([
    import('hyparquet'),
    import('hyparquet-compressors'),
  ])
  let file: AsyncBuffer
  try {
    file = isZipped(path) ? packed(path) : await asyncBufferFromFile(path)
  } catch (cause) {
    throw cause instanceof SaqrError ? cause : fileError(cause, path, 'read')
  }
  if (file.byteLength === 0) throw new SaqrError('DATA_FORMAT', `${path} is empty. Fetch it again, or name another file.`)
  if (file.byteLength < LEAST) throw unreadable(path, `it has ${file.byteLength} bytes alone`)
  const parsers = { stringFromBytes: textOf } as never
  const codecs = ofNothing(compressors)
  const { metadata, schema } = await readable(path, async () => {
    const metadata = await parquetMetadataAsync(file)
    const schema = parquetSchema(metadata)
    checkNames(schema, path)
    return { metadata: { ...metadata, schema: metadata.schema.map(unscaled) }, schema }
  })
  let rowStart = 0
  for (const { num_rows } of metadata.row_groups) {
    const [from, rowEnd] = [rowStart, rowStart + Number(num_rows)]
    const rows = await readable(path, () => parquetReadObjects({ file, metadata, compressors: codecs, parsers, rowStart: from, rowEnd }))
    yield rows.map((row, i) => {
      requireTexts(row, schema, `${path}, row ${from + i + 1}`)
      return exact(row, schema) as Row
    })
    rowStart = rowEnd
  }
}

/** What gzip packed is unpacked whole, as the end of a Parquet file is read first. @throws SaqrError FORMAT_TOO_LARGE, DATA_FORMAT */
function packed(path: string): AsyncBuffer {
  const { buffer, byteOffset, byteLength } = unpackWhole(path)
  return { byteLength, slice: (from, to = byteLength) => buffer.slice(byteOffset + from, byteOffset + to) as ArrayBuffer }
}

async function readable<T>(path: string, read: () => Promise<T>): Promise<T> {
  try {
    return await read()
  } catch (cause) {
    if (cause instanceof SaqrError) throw cause
    const { message } = cause as Error
    // what trips over bytes that mean nothing says so in its own way
    const damaged =
      !(cause instanceof Error) || cause instanceof RangeError || cause instanceof TypeError || /page type|undefined/.test(message)
    throw unreadable(path, damaged ? 'its bytes are damaged' : message, cause)
  }
}

function unreadable(path: string, why: string, cause?: unknown): SaqrError {
  const then = /unsupported/.test(why) ? 'Write it in another way (zstd, snappy)' : 'Fetch it again'
  return new SaqrError('DATA_FORMAT', `${path} can't be read as Parquet: ${why}. ${then}, or convert it to JSON lines.`, { cause })
}

/** @throws SaqrError DATA_ROW for bytes in a column of texts */
function requireTexts(value: unknown, schema: SchemaTree | undefined, where: string): void {
  if (Array.isArray(value)) for (const item of value) requireTexts(item, elementOf(schema), where)
  else if (value instanceof Uint8Array) {
    if (schema?.element.converted_type !== 'UTF8' && schema?.element.logical_type?.type !== 'STRING') return
    throw new SaqrError('DATA_ROW', `${where}: the text in ${schema.path.join('.')} is not UTF-8. Correct or remove the row.`)
  } else if (isObject(value) && !(value instanceof Date))
    for (const [key, item] of Object.entries(value)) requireTexts(item, fieldOf(schema, key), where)
}

/** Two columns of one name, of which rows would keep one, as `datasets` refuses them; and a name that an object can't have. */
function checkNames({ children }: SchemaTree, path: string): void {
  const seen = new Set<string>()
  for (const child of children) {
    const { name } = child.element
    if (seen.has(name) || name === '__proto__')
      throw new SaqrError(
        'DATA_FORMAT',
        `${path} has ${seen.has(name) ? 'two columns' : 'a column'} named ${JSON.stringify(child.path.join('.'))}. Rename ${seen.has(name) ? 'one of them' : 'it'}.`,
      )
    seen.add(name)
    checkNames(child, path)
  }
}

/** A page of nothing (all of its values null, say) is nothing in every codec; the LZ4 of hyparquet-compressors fails at it. */
const ofNothing = (compressors: Compressors): Compressors =>
  Object.fromEntries(
    Object.entries(compressors).map(([name, of]) => [
      name,
      (input: Uint8Array, length: number) => (length === 0 ? new Uint8Array() : of(input, length)),
    ]),
  )

/** A value without bigint, what JavaScript's number does not say remembered beside it. */
function exact(value: unknown, schema: SchemaTree | undefined): unknown {
  if (Array.isArray(value)) return filled([], value.entries(), () => elementOf(schema))
  if (isObject(value) && !(value instanceof Date) && !ArrayBuffer.isView(value))
    return filled({}, Object.entries(value), (key) => fieldOf(schema, String(key)))
  // a list or a struct that isn't there
  if (value === undefined) return null
  return typeof value === 'bigint' ? Number(value) : value
}

type Element = SchemaTree['element']

const isDecimal = (element: Element | undefined): boolean =>
  element?.converted_type === 'DECIMAL' || element?.logical_type?.type === 'DECIMAL'

/** A decimal is read as the whole number that stands there: hyparquet makes it a double before it multiplies it by 0.01, which is none. */
function unscaled(element: Element): Element {
  if (!isDecimal(element)) return element
  const { converted_type: _, logical_type: __, ...raw } = element
  return raw
}

/** Of a decimal: a whole number where it has no places behind the point, else the number nearest to it. */
function decimalOf(value: unknown, { scale, logical_type }: Element): unknown {
  if (value === null || value === undefined) return value
  const places = scale ?? (logical_type?.type === 'DECIMAL' ? logical_type.scale : 0)
  // a text: bytes that are UTF-8 by chance (`textOf`)
  const whole = typeof value === 'bigint' ? value : typeof value === 'number' ? BigInt(value) : signed(Buffer.from(value as string))
  if (places <= 0) return whole * 10n ** BigInt(-places)
  const digits = `${whole < 0n ? -whole : whole}`.padStart(places + 1, '0')
  return Number(`${whole < 0n ? '-' : ''}${digits.slice(0, -places)}.${digits.slice(-places)}`)
}

/** two's complement, the highest byte first */
const signed = (bytes: Buffer): bigint => (bytes.length === 0 ? 0n : BigInt.asIntN(8 * bytes.length, BigInt(`0x${bytes.toString('hex')}`)))

function filled<T extends object>(
  container: T,
  entries: Iterable<[string | number, unknown]>,
  schemaOf: (key: string | number) => SchemaTree | undefined,
): T {
  for (const [key, read] of entries) {
    const schema = schemaOf(key)
    const item = isDecimal(schema?.element) ? decimalOf(read, schema!.element) : read
    ;(container as Record<string | number, unknown>)[key] = exact(item, schema)
    if (typeof item === 'bigint' && !Number.isSafeInteger(Number(item))) rememberNumber(container, key, item)
    else if (typeof item === 'number' && Number.isInteger(item) && isFloat(schema)) rememberNumber(container, key, new Float(item))
  }
  return container
}

const isFloat = (schema: SchemaTree | undefined): boolean => {
  const element = schema?.element
  return (
    element !== undefined &&
    (element.type === 'DOUBLE' || element.type === 'FLOAT' || element.logical_type?.type === 'FLOAT16' || isDecimal(element))
  )
}

/** list (LIST) -> group list -> element; older files leave out the group or the element */
function elementOf(schema: SchemaTree | undefined): SchemaTree | undefined {
  if (schema?.element.repetition_type === 'REPEATED') return { ...schema, element: { ...schema.element, repetition_type: 'REQUIRED' } }
  const [group] = schema?.children ?? []
  if (group?.element.repetition_type !== 'REPEATED') return group
  return group.children.length === 1 ? group.children[0] : { ...group, element: { ...group.element, repetition_type: 'REQUIRED' } }
}

/** a field of a struct; of a map, whose keys are data, its values */
function fieldOf(schema: SchemaTree | undefined, name: string): SchemaTree | undefined {
  const isMap = schema?.element.converted_type === 'MAP' || schema?.element.logical_type?.type === 'MAP'
  return isMap ? schema?.children[0]?.children[1] : schema?.children.find((child) => child.element.name === name)
}
