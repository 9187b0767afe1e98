/** A base whose files were touched after it was opened: what the device holds of it says whether they still give the same. */
import { cpSync, mkdtempSync, readFileSync, renameSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { CpuDevice } from '../../src/devices/cpu/device.ts'
import { digestOfBase } from '../../src/engine/digest.ts'
import { LanguageModel } from '../../src/engine/language-model.ts'
import { type BaseChoice, OpenedModel } from '../../src/engine/opened-model.ts'
import { nf4FileTensors, quantiseTensor } from '../../src/formats/bnb-write.ts'
import { readSafetensors } from '../../src/formats/safetensors/read.ts'
import { writeSafetensors } from '../../src/formats/safetensors/write.ts'
import { requireAsOpened } from '../../src/formats/stored.ts'
import { openCheckpoint } from '../../src/models/checkpoint.ts'

const fixture = join(import.meta.dirname, '../fixtures/training/evaluation/model')
const work = mkdtempSync(join(tmpdir(), 'saqr-as-held-'))
afterAll(() => rmSync(work, { recursive: true }))

const WEIGHT = 'model.layers.0.mlp.down_proj.weight'
const F32: BaseChoice = { dtype: 'f32', loadIn4bit: false, doubleQuant: false }

/** a folder of its own; `nested`: its linears in NF4 */
async function copied(nested: boolean | null): Promise<string> {
  const folder = mkdtempSync(join(work, 'model-'))
  cpSync(fixture, folder, { recursive: true })
  if (nested === null) return folder
  const list = [...openCheckpoint(fixture).tensors.values()].flatMap((t) =>
    t.name.endsWith('_proj.weight')
      ? nf4FileTensors(quantiseTensor(t, { dtype: 'f32', nested }))
      : [{ name: t.name, dtype: 'F32', shape: t.shape, data: t.load('f32') }],
  )
  await writeSafetensors(join(folder, 'model.safetensors'), list, { format: 'pt' })
  return folder
}

/** in another file's place, as whoever copies a file over another leaves it */
function replace(file: string, bytes: Uint8Array): void {
  writeFileSync(`${file}.new`, bytes)
  renameSync(`${file}.new`, file)
}

/** the file with a tensor's numbers (f32) twice as large: its codes in NF4 are the same, its scales are not */
function doubled(file: string, name: string): Uint8Array {
  const bytes = readFileSync(file)
  const { offset, bytes: size } = readSafetensors(file).tensors.get(name)!
  for (let at = offset; at < offset + size; at += 4) bytes.writeFloatLE(2 * bytes.readFloatLE(at), at)
  return bytes
}

/** digest of a base whose file is changed once it is opened */
async function digestOf(choice: BaseChoice, nested: boolean | null, change: (file: string) => void, kind: 'none' | 'full' = 'none') {
  const folder = await copied(nested)
  const file = join(folder, 'model.safetensors')
  const device = new CpuDevice({ threads: 1 })
  try {
    const opened = new OpenedModel(device, openCheckpoint(folder), choice)
    new LanguageModel(opened, { kind }, 0)
    change(file)
    expect(() => requireAsOpened(opened.checkpoint.tensors.values())).toThrow()
    await opened.lookAgain()
    return await digestOfBase(opened.checkpoint)
  } finally {
    device.dispose()
  }
}

const changed = expect.objectContaining({ code: 'FORMAT_CHANGED' })

describe.each<[string, BaseChoice, boolean | null, string]>([
  ['as the file has it', F32, null, WEIGHT],
  ['in another type', { ...F32, dtype: 'bf16' }, null, WEIGHT],
  ['in NF4', { ...F32, loadIn4bit: true }, null, WEIGHT],
  ['in NF4, scales quantised too', { ...F32, loadIn4bit: true, doubleQuant: true }, null, WEIGHT],
  ['in NF4 as the file has it', { ...F32, loadIn4bit: true }, false, `${WEIGHT}.absmax`],
  ['in NF4 as the file has it, scales quantised too', { ...F32, loadIn4bit: true }, true, `${WEIGHT}.nested_absmax`],
])('a base %s', (_, choice, nested, scaled) => {
  const digestAfter = (change: (file: string) => void) => digestOf(choice, nested, change)

  it('is the same after its file was touched, or copied over itself', async () => {
    const digest = await digestOfBase(openCheckpoint(await copied(nested)))
    expect(await digestAfter((file) => utimesSync(file, 1, 1))).toBe(digest)
    expect(await digestAfter((file) => replace(file, readFileSync(file)))).toBe(digest)
  })

  it('is another after its file was replaced by another, cut, or taken away', async () => {
    await expect(digestAfter((file) => replace(file, doubled(file, scaled)))).rejects.toEqual(changed)
    await expect(digestAfter((file) => replace(file, readFileSync(file).subarray(0, -4)))).rejects.toEqual(changed)
    await expect(digestAfter((file) => rmSync(file))).rejects.toMatchObject({ code: 'FORMAT_NOT_FOUND' })
  })
})

// a weight that is trained lies apart from its file: of another file in that one's place nothing would be seen
it.each<[string, BaseChoice]>([
  ['as the file has it', F32],
  ['in another type', { ...F32, dtype: 'bf16' }],
])('of a base that is trained, %s, no other file is taken, a touched one either', async (_, choice) => {
  await expect(digestOf(choice, null, (file) => replace(file, doubled(file, WEIGHT)), 'full')).rejects.toEqual(changed)
  await expect(digestOf(choice, null, (file) => utimesSync(file, 1, 1), 'full')).rejects.toEqual(changed)
})

it('a file that was written to in place is what a run over it computes with, and is told so', async () => {
  const folder = await copied(null)
  const file = join(folder, 'model.safetensors')
  const device = new CpuDevice({ threads: 1 })
  const opened = new OpenedModel(device, openCheckpoint(folder), F32)
  new LanguageModel(opened, { kind: 'none' }, 0)
  const before = await digestOfBase(opened.checkpoint)
  writeFileSync(file, doubled(file, WEIGHT))
  await opened.lookAgain()
  const now = await digestOfBase(opened.checkpoint)
  expect(now).not.toBe(before)
  expect(now).toBe(await digestOfBase(openCheckpoint(folder)))
  device.dispose()
})
