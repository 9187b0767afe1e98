/** What is read of a macOS library (tools/mach-o.mjs), on one made here by Apple's headers. */
import { createHash } from 'node:crypto'
import { expect, it } from 'vitest'

interface MachO {
  exports: Set<string>
  imports: string[]
  libraries: string[]
  oldest: string
  signature: { holds: boolean; pages: number } | null
}
const tool = '../../tools/mach-o.mjs'
const { readMachO } = (await import(tool)) as { readMachO(bytes: Buffer): MachO }

const PAGE = 4096
const words = (...values: number[]) => {
  const bytes = Buffer.alloc(values.length * 4)
  for (const [i, value] of values.entries()) bytes.writeUInt32LE(value, 4 * i)
  return bytes
}
const big = (...values: number[]) => words(...values).swap32()

/** one export, one import, one of a debugger's; two pages and their ad hoc signature */
function library(): Buffer {
  const [symbols, strings, end] = [1024, 2048, 5000]
  const name = Buffer.alloc(32)
  name.write('/usr/lib/libSystem.B.dylib')
  const commands = [
    Buffer.concat([words(0xc, 24 + 32, 24, 0, 0, 0), name]),
    words(0x32, 24, 1, 11 << 16, 15 << 16, 0),
    words(2, 24, symbols, 3, strings, 64),
    words(0x1d, 16, end, 200),
  ]
  const bytes = Buffer.alloc(end + 200)
  words(0xfeedfacf, 0x100000c, 0, 6, commands.length, Buffer.concat(commands).length, 0, 0).copy(bytes)
  Buffer.concat(commands).copy(bytes, 32)
  for (const [i, type] of [0x0f, 0x01, 0x24].entries()) Buffer.concat([words(1 + 8 * i), Buffer.from([type])]).copy(bytes, symbols + 16 * i)
  bytes.write('\0_mine\0\0\0_asked\0\0_debug\0', strings, 'latin1')
  big(0xfade0cc0, 200, 1, 0, 20).copy(bytes, end)
  const directory = end + 20
  big(0xfade0c02, 180, 0x20400, 2, 44, 0, 0, 2, end).copy(bytes, directory)
  Buffer.from([32, 2, 0, 12]).copy(bytes, directory + 36)
  for (const page of [0, 1]) {
    const part = bytes.subarray(page * PAGE, Math.min((page + 1) * PAGE, end))
    createHash('sha256')
      .update(part)
      .digest()
      .copy(bytes, directory + 44 + 32 * page)
  }
  return bytes
}

it('a library is read: what it has, asks for, is linked to and runs on', () => {
  const { exports, imports, libraries, oldest, signature } = readMachO(library())
  expect({ exports: [...exports], imports, libraries, oldest, signature }).toEqual({
    exports: ['_mine'],
    imports: ['_asked'],
    libraries: ['/usr/lib/libSystem.B.dylib'],
    oldest: '11.0',
    signature: { holds: true, pages: 2 },
  })
})

it('a signature is of every byte before it', () => {
  for (const at of [500, 4999]) {
    const changed = library()
    changed[at]! ^= 1
    expect(readMachO(changed).signature, `byte ${at}`).toEqual({ holds: false, pages: 2 })
  }
})

it('another kind of file is refused', () => {
  expect(() => readMachO(Buffer.from('\x7fELF and so on'))).toThrow('not a 64-bit Mach-O file')
})
