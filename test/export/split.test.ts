/** A model in several GGUF files: written, opened again, the same tensors as in one; parts that are missing, mixed up or not the first are told. */
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join, relative } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { exportModel } from '../../src/cli/verbs/export.ts'
import { readGguf } from '../../src/formats/gguf/open.ts'
import { ggmlType } from '../../src/formats/gguf/types.ts'
import { text, u16, writeGguf } from '../../src/formats/gguf/write.ts'
import { resolveModel } from '../../src/hub/model.ts'
import { FastLanguageModel, type PretrainedModel } from '../../src/index.ts'
import { openCheckpoint } from '../../src/models/checkpoint.ts'
import { commandLine } from '../cli/saqr.ts'
import { writeTinyModel } from '../cli/tiny-model.ts'
import { startHub } from '../hub/server.ts'

const folder = mkdtempSync(join(tmpdir(), 'saqr-split-'))
const at = (name: string) => join(folder, name)
let model: PretrainedModel
beforeAll(async () => {
  await writeTinyModel(at('base'))
  ;({ model } = await FastLanguageModel.fromPretrained(at('base'), { device: 'cpu', dtype: 'float32', loadIn4bit: false }))
  await model.savePretrainedGguf(at('whole.gguf'), { quantizationMethod: 'f32' })
})
afterAll(async () => {
  await model.dispose()
  rmSync(folder, { recursive: true })
})
const bytes = (path: string) => [...openCheckpoint(path).tensors.values()].map((t) => [t.name, Buffer.from(t.load('f32')).toString('hex')])
const parts = (name: string) => readdirSync(at(name)).filter((file) => file.endsWith('.gguf')).sort() // biome-ignore format: one thing

it('is asked beside the trained model, and has the tensors of one file', async () => {
  const [saved] = await model.savePretrainedGguf(at('split'), { quantizationMethod: 'f32', splitMaxSize: 20_000 })
  const names = parts('split')
  expect(names.length).toBeGreaterThan(2)
  expect(names).toEqual(names.map((_, i) => `split.F32-0000${i + 1}-of-0000${names.length}.gguf`))
  expect(saved).toMatchObject({ path: at(`split/${names[0]}`), parts: names.length, compared: { kl: 0, same: 1 } })
  expect(bytes(saved!.path)).toEqual(bytes(at('whole.gguf')))
  const modelfile = readFileSync(at('split/Modelfile'), 'utf8') // each part has a line of its own: the folder may hold other files
  expect(modelfile.split('\n').filter((line) => line.startsWith('FROM'))).toEqual(names.map((file) => `FROM ./${file}`))
  const { metadata } = readGguf(saved!.path)
  expect([...metadata].filter(([key]) => key.startsWith('split'))).toEqual([
    ['split.no', 0],
    ['split.count', names.length],
    ['split.tensors.count', readGguf(at('whole.gguf')).tensors.size],
  ])
  expect(metadata.get('saqr.trained.kl')).toBe(0)
  const again = await FastLanguageModel.fromPretrained(saved!.path, { device: 'cpu', dtype: 'float32', loadIn4bit: false })
  // its own parts are not written over
  await expect(again.model.savePretrainedGguf(at('split/split.F32.gguf'), { quantizationMethod: 'f32' })).rejects.toThrow(
    'whose weights are read from it',
  )
  await again.model.dispose()
})

it('another number of parts leaves none over; one that fits is one file', async () => {
  const save = (splitMaxSize: string) => model.savePretrainedGguf(at('again'), { quantizationMethod: 'f32', splitMaxSize, check: false })
  await save('20KB')
  const many = parts('again').length
  await save('40KB')
  expect(parts('again').length).toBeLessThan(many)
  expect((await save('1GB'))[0]).toMatchObject({ parts: 1 })
  expect(parts('again')).toEqual(['again.F32.gguf'])
  await expect(save('x')).rejects.toThrow('splitMaxSize: expected a size')
})

it.each([
  ['from here', (name: string) => `./${relative(process.cwd(), at(name))}/m.gguf`],
  ['with .. in it', (name: string) => `${folder}/../${basename(folder)}/${name}/m.gguf`],
  ['with two slashes', (name: string) => `${folder}//${name}/m.gguf`],
])('stays, whatever spelling its path has: %s', async (how, spelled) => {
  const name = `spelled ${how}`
  const path = spelled(name)
  const save = (splitMaxSize: string) => model.savePretrainedGguf(path, { quantizationMethod: 'f32', splitMaxSize, check: false })
  const [saved] = await save('20KB')
  expect(parts(name)).toHaveLength(saved!.parts)
  expect(bytes(saved!.path)).toEqual(bytes(at('whole.gguf')))
  // the next takes its place
  expect((await save('1GB'))[0]).toMatchObject({ parts: 1 })
  expect(parts(name)).toEqual(['m.gguf'])
})

it('a part that is missing, not the first, of another model, under another name', () => {
  const names = parts('split')
  const broken = (name: string, change: (path: (i: number) => string) => void) => {
    mkdirSync(at(name))
    for (const file of names) copyFileSync(at(`split/${file}`), at(`${name}/${file}`))
    const path = (i: number) => at(`${name}/${names[i]}`)
    change(path)
    return () => readGguf(path(0))
  }
  expect(broken('missing', (path) => rmSync(path(1)))).toThrow(
    /one of 3 files, and 1 of them are not there: split\.F32-00002|one of \d+ files/,
  )
  expect(() => readGguf(at(`split/${names[1]}`))).toThrow(`name the first, ${names[0]}`)
  expect(broken('swapped', (path) => copyFileSync(path(2), path(1)))).toThrow(/is not part 2 of/)
  expect(
    broken('renamed', (path) => {
      renameSync(path(0), at('renamed/other.gguf'))
      copyFileSync(at('renamed/other.gguf'), path(0))
    }),
  ).not.toThrow()
  expect(() => readGguf(at('renamed/other.gguf'))).toThrow('its name doesn’t'.replace('’', "'"))
  expect(
    broken('cut', (path) => {
      const whole = readFileSync(path(1))
      writeFileSync(path(1), whole.subarray(0, whole.length - 64))
    }),
  ).toThrow('it was cut short')
})

it('parts of two exports are not one model, however alike: as a kill leaves them, or mixed by hand', async () => {
  const options = { quantizationMethod: 'f32', splitMaxSize: '20KB', check: false } as const
  const [old] = await model.savePretrainedGguf(at('old'), options)
  const names = parts('old')
  const first = (folder: string) => at(`${folder}/${names[0]}`)
  const copy = (to: string) => {
    mkdirSync(at(to))
    for (const file of names) copyFileSync(at(`old/${file}`), at(`${to}/${file}`))
  }
  copy('before')
  // a folder takes the place of the first part alone: what comes before it in the order has been renamed
  rmSync(first('old'))
  mkdirSync(join(first('old'), 'taken'), { recursive: true })
  await expect(model.savePretrainedGguf(at('old'), options)).rejects.toThrow(basename(old!.path))
  rmSync(first('old'), { recursive: true })
  copyFileSync(first('before'), first('old'))
  expect(() => readGguf(first('old'))).toThrow(/was not written with old\.F32-00001-of-0000\d\.gguf: the parts are of different models/)
  expect(readGguf(first('before')).tensors.size).toBe(readGguf(at('whole.gguf')).tensors.size)
  await model.savePretrainedGguf(at('old'), options)
  expect(bytes(first('old'))).toEqual(bytes(at('whole.gguf')))
  copyFileSync(at(`before/${names[1]}`), at(`old/${names[1]}`))
  expect(() => readGguf(first('old'))).toThrow('the parts are of different models')
})

it('what was parted anew by another tool, with the id in the first part alone, is one model', async () => {
  for (const i of [0, 1]) {
    const id = { 'saqr.split.id': text('x') }
    const tensor = { name: `t${i}`, shape: [32], type: ggmlType('F32'), data: () => [new Uint8Array(128)] }
    await writeGguf(at(`anew-0000${i + 1}-of-00002.gguf`), { ...(i === 0 ? id : {}), 'split.no': u16(i), 'split.count': u16(2) }, [tensor])
  }
  expect([...readGguf(at('anew-00001-of-00002.gguf')).tensors.keys()]).toEqual(['t0', 't1'])
})

it('on the command line, and from the Hub with all its parts', async () => {
  const saqr = commandLine({ export: exportModel })
  const args = ['--model_name_or_path', at('base'), '--use_cpu', '--gguf', 'q8_0', '--output_dir', at('cli')]
  const run = await saqr('export', ...args, '--split_max_size', '10KB')
  expect(run.out).toMatch(/cli\.Q8_0-00001-of-0000\d\.gguf: 0\.\d MB in \d files; opened again/)
  expect(run.err).toContain('Ollama reads files in parts from version 0.30 on')
  expect((await saqr('export', ...args, '--split_max_size', '10KB')).err).toContain('is there already')
  const names = parts('cli')
  const hub = await startHub({
    'falconry/parts': { files: Object.fromEntries(names.map((file) => [file, readFileSync(at(`cli/${file}`))])) },
  })
  try {
    const options = { hubUrl: hub.url, cacheDir: at('cache') }
    for (const name of ['falconry/parts', `falconry/parts/${names[0]}`]) {
      const { path } = await resolveModel(name, options)
      expect(bytes(path)).toEqual(bytes(at(`cli/${names[0]}`)))
      rmSync(at('cache'), { recursive: true })
    }
  } finally {
    await hub.close()
  }
  expect(existsSync(at('cli/cli.Q8_0.unchecked.gguf'))).toBe(false)
})
