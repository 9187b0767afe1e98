import { execFileSync } from 'node:child_process'
import { closeSync, existsSync, mkdirSync, openSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { ensureWritableFolder, fileError, openAtomic, writeFileAtomic, writeFolderAtomic } from '../../src/formats/files.ts'
import { writeSafetensors } from '../../src/formats/safetensors/write.ts'
import { WriteBehind } from '../../src/hub/write-behind.ts'
import { temporary } from './fixtures.ts'

/** a process id beyond what the system gives out */
const dead = 99999999
const partial = (folder: string, name: string, pid = process.pid) => join(folder, `.${name}.saqr-${hostname()}-${pid}`)

describe('a file', () => {
  test('appears when committed and leaves nothing beside it', () => {
    const folder = temporary()
    writeFileSync(join(folder, 'a'), 'old')
    const file = openAtomic(join(folder, 'a'))
    file.write(Buffer.from('new'))
    expect(readFileSync(join(folder, 'a'), 'utf8')).toBe('old')
    file.commit()
    expect(readFileSync(join(folder, 'a'), 'utf8')).toBe('new')
    expect(readdirSync(folder)).toEqual(['a'])
  })

  test('that is abandoned leaves the old one', () => {
    const folder = temporary()
    writeFileSync(join(folder, 'a'), 'old')
    const file = openAtomic(join(folder, 'a'))
    file.write(Buffer.from('new'))
    file.abandon()
    expect(readdirSync(folder)).toEqual(['a'])
    expect(readFileSync(join(folder, 'a'), 'utf8')).toBe('old')
  })

  test('is written behind its caller, in order; what was given before may become something else', async () => {
    const folder = temporary()
    const file = openAtomic(join(folder, 'a'))
    const rooms = [new Uint8Array(1 << 20), new Uint8Array(1 << 20)]
    for (let i = 0; i < 9; i++) await file.writeBehind(rooms[i % 2]!.fill(i))
    await file.writeBehind(Buffer.from('end'))
    await file.settled()
    file.commit()
    const written = readFileSync(join(folder, 'a'))
    expect(written.length).toBe(9 * (1 << 20) + 3)
    for (let i = 0; i < 9; i++) expect(written.subarray(i << 20, (i + 1) << 20).every((byte) => byte === i)).toBe(true)
    expect(written.subarray(-3).toString()).toBe('end')
  })

  // /dev/full takes no byte
  test.runIf(existsSync('/dev/full'))('that failed behind its caller says so at the next part, or when it is settled', async () => {
    const folder = temporary()
    for (const last of [false, true]) {
      symlinkSync('/dev/full', partial(folder, 'a'))
      const file = openAtomic(join(folder, 'a'))
      await file.writeBehind(new Uint8Array(9))
      await new Promise((resolve) => setTimeout(resolve, 20)) // it has failed by now, and nobody waits for it
      const told = last ? file.settled() : file.writeBehind(new Uint8Array(9))
      await expect(told).rejects.toMatchObject({ code: 'FORMAT_DISK_FULL' })
      file.abandon()
      expect(readdirSync(folder)).toEqual([])
    }
  })

  test('is flushed in between: a flush that fails is told by who gives next, or at the end', async () => {
    const folder = temporary()
    const path = join(folder, 'a')
    const fd = openSync(path, 'w')
    const good = new WriteBehind(fd, 4)
    for (let i = 0; i < 20; i++) await good.give(Buffer.from([i, i, i]))
    await good.end()
    closeSync(fd)
    expect([...readFileSync(path)]).toEqual(Array.from({ length: 60 }, (_, i) => Math.floor(i / 3)))
    // what is written to a pipe can't be flushed
    const pipe = join(folder, 'pipe')
    execFileSync('mkfifo', [pipe])
    const both = openSync(pipe, 'r+')
    const bad = new WriteBehind(both, 4)
    await bad.give(Buffer.from('12345'))
    await expect(bad.give(Buffer.from('67890'))).rejects.toMatchObject({ syscall: 'fdatasync' })
    await expect(bad.end()).rejects.toMatchObject({ syscall: 'fdatasync' })
    closeSync(both)
  })

  test('written twice at the same time is one of the two, whole, and nothing lies beside it', async () => {
    const folder = temporary()
    const path = join(folder, 'a')
    const files = [openAtomic(path), openAtomic(path)]
    for (let i = 0; i < 4; i++) await Promise.all(files.map((file, of) => file.writeBehind(new Uint8Array(1 << 18).fill(of + 1))))
    await Promise.all(files.map((file) => file.settled()))
    for (const [of, file] of files.entries()) {
      file.commit()
      const written = readFileSync(path)
      expect([written.length, written.every((byte) => byte === of + 1)]).toEqual([1 << 20, true])
    }
    // the names are free again: what is over takes nothing of what comes after
    const next = openAtomic(path)
    for (const file of files) file.abandon()
    next.write(Buffer.from('next'))
    next.commit()
    expect(readFileSync(path, 'utf8')).toBe('next')
    await Promise.all(
      ['x', 'y'].map((text) =>
        writeFolderAtomic(join(folder, 'b'), async (to) => {
          for (const name of ['1', '2']) {
            writeFileSync(join(to, name), text)
            await new Promise((resolve) => setTimeout(resolve, 5))
          }
        }),
      ),
    )
    expect(readFileSync(join(folder, 'b/1'), 'utf8')).toBe(readFileSync(join(folder, 'b/2'), 'utf8'))
    expect(readdirSync(folder).sort()).toEqual(['a', 'b'])
  })

  test('sweeps what a dead process left, not what a living one writes', () => {
    const folder = temporary()
    writeFileSync(partial(folder, 'a', dead), 'half')
    writeFileSync(`${partial(folder, 'a', dead)}.1`, 'half of another')
    writeFileSync(partial(folder, 'a', process.ppid), 'being written')
    writeFileSync(partial(folder, 'b', dead), 'of another file')
    writeFileAtomic(join(folder, 'a'), 'x')
    expect(existsSync(partial(folder, 'a', dead))).toBe(false)
    expect(existsSync(`${partial(folder, 'a', dead)}.1`)).toBe(false)
    expect(existsSync(partial(folder, 'a', process.ppid))).toBe(true)
    expect(existsSync(partial(folder, 'b', dead))).toBe(true)
  })

  // /dev/full takes no byte: a disk that is full, without filling one
  test.runIf(existsSync('/dev/full'))('on a full disk: one clear error, the old file unharmed', async () => {
    const folder = temporary()
    const path = join(folder, 'model.safetensors')
    await writeSafetensors(path, [{ name: 'a', dtype: 'U8', shape: [3], data: Buffer.from('old') }])
    const old = readFileSync(path)
    symlinkSync('/dev/full', partial(folder, 'model.safetensors'))
    const writing = writeSafetensors(path, [
      { name: 'a', dtype: 'U8', shape: [100_000], data: () => [new Uint8Array(50_000), new Uint8Array(50_000)] },
    ])
    await expect(writing).rejects.toMatchObject({
      name: 'SaqrError',
      code: 'FORMAT_DISK_FULL',
      message: expect.stringContaining('model.safetensors'),
    })
    expect(readFileSync(path).equals(old)).toBe(true)
    expect(readdirSync(folder)).toEqual(['model.safetensors'])
  })

  test('where a folder is missing or a file in its place', () => {
    const folder = temporary()
    writeFileSync(join(folder, 'a'), '')
    expect(() => writeFileAtomic(join(folder, 'none', 'x'), '')).toThrow(expect.objectContaining({ name: 'SaqrError' }))
    expect(() => writeFileAtomic(join(folder, 'a', 'x'), '')).toThrow(expect.objectContaining({ code: 'FORMAT_FILE' }))
  })
})

describe('a folder', () => {
  test('takes the place of an older one as a whole, or not at all', async () => {
    const folder = temporary()
    const path = join(folder, 'checkpoint-1')
    mkdirSync(path)
    writeFileSync(join(path, 'old'), '')
    await expect(
      writeFolderAtomic(path, (inside) => {
        writeFileSync(join(inside, 'half'), '')
        throw new Error('stopped')
      }),
    ).rejects.toMatchObject({ code: 'FORMAT_FILE', message: expect.stringContaining('stopped') })
    expect(readdirSync(path)).toEqual(['old'])
    await writeFolderAtomic(path, (inside) => writeFileSync(join(inside, 'new'), ''))
    expect(readdirSync(path)).toEqual(['new'])
    expect(readdirSync(folder)).toEqual(['checkpoint-1'])
  })

  test('that a dead process had set aside comes back', async () => {
    const folder = temporary()
    const aside = `${partial(folder, 'c', dead)}.old`
    mkdirSync(aside)
    writeFileSync(join(aside, 'kept'), '')
    await expect(writeFolderAtomic(join(folder, 'c'), () => Promise.reject(new Error('no')))).rejects.toThrow('no')
    expect(readdirSync(join(folder, 'c'))).toEqual(['kept'])
  })
})

describe('a folder to write to', () => {
  test('is made, or refused before anything is computed', () => {
    const folder = temporary()
    ensureWritableFolder(join(folder, 'a/b'))
    expect(readdirSync(join(folder, 'a/b'))).toEqual([])
    writeFileSync(join(folder, 'file'), '')
    expect(() => ensureWritableFolder(join(folder, 'file/x'))).toThrow(expect.objectContaining({ code: 'FORMAT_FILE' }))
    expect(() => ensureWritableFolder(join(folder, 'file'))).toThrow(expect.objectContaining({ code: 'FORMAT_FILE' }))
  })

  test.runIf(existsSync('/proc/self'))('that a file system refuses is refused, not waited for', () => {
    expect(() => ensureWritableFolder('/proc/nowhere/x')).toThrow(
      expect.objectContaining({ code: 'FORMAT_PERMISSION', message: expect.stringContaining('/proc/nowhere/x') }),
    )
  })

  test('says so where permission is missing', () => {
    for (const code of ['EACCES', 'EPERM', 'EROFS']) {
      const error = fileError(Object.assign(new Error(code), { code }), '/out', 'write')
      expect(error).toMatchObject({ code: 'FORMAT_PERMISSION', message: expect.stringContaining('/out') })
    }
  })
})
