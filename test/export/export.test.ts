/** A tiny model trained here, exported through the command line and the library: what is written is what was trained, or an error. */
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync } from 'node:fs'
import { hostname, tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { exportModel, progress } from '../../src/cli/verbs/export.ts'
import { nativeLibrary } from '../../src/devices/cpu/library.ts'
import * as changed from '../../src/export/changed.ts'
import { compare, fromBase, judge } from '../../src/export/check.ts'
import { ggufOf } from '../../src/export/gguf-config.ts'
import { saveGguf } from '../../src/export/save-gguf.ts'
import { decoders } from '../../src/formats/gguf/dequantise.ts'
import { readGguf } from '../../src/formats/gguf/open.ts'
import { asF32 } from '../../src/formats/numbers.ts'
import { FastLanguageModel, SFTTrainer } from '../../src/index.ts'
import { openCheckpoint } from '../../src/models/checkpoint.ts'
import { openConfig } from '../../src/models/registry.ts'
import { Tokenizer } from '../../src/text/tokenizer.ts'
import { standardError } from '../../src/track/output.ts'
import { commandLine } from '../cli/saqr.ts'
import { writeTinyModel } from '../cli/tiny-model.ts'
import { asTrained } from '../engine/as-trained.ts'

const folder = mkdtempSync(join(tmpdir(), 'saqr-export-'))
const at = (name: string) => join(folder, name)
const saqr = commandLine({ export: exportModel })
let log: ReturnType<typeof vi.spyOn>

beforeAll(async () => {
  log = vi.spyOn(console, 'log').mockImplementation(() => {})
  await writeTinyModel(at('base'))
  const { model } = await FastLanguageModel.fromPretrained(at('base'), { device: 'cpu', dtype: 'float32', loadIn4bit: false })
  const peft = asTrained(model, { r: 4, loraAlpha: 8 })
  await peft.savePretrained(at('adapter'))
  await peft.dispose()
  await model.dispose()
})
afterAll(() => {
  log.mockRestore()
  rmSync(folder, { recursive: true, force: true })
})

const open = (name: string, loadIn4bit = false) =>
  FastLanguageModel.fromPretrained(at(name), { device: 'cpu', dtype: 'float32', loadIn4bit })

describe('in a program', () => {
  it('f32 is the merged checkpoint, bit for bit, and answers the same', async () => {
    const { model } = await open('adapter')
    await model.savePretrainedMerged(at('merged'))
    const [saved] = await model.savePretrainedGguf(at('f32/model.gguf'), { quantizationMethod: 'f32' })
    expect(saved).toMatchObject({ path: at('f32/model.gguf'), quantization: 'f32', compared: { bound: 1e-5, same: 1 } })
    expect(saved!.compared!.kl).toBeLessThan(1e-9) // sums in another order: x·W + s·(x·A)·B beside x·(W + s·B·A)
    const [merged, gguf] = [at('merged'), at('f32/model.gguf')].map((path) => openCheckpoint(path).tensors)
    expect([...gguf!.keys()]).toEqual([...merged!.keys()].sort())
    for (const [name, t] of merged!) expect([name, asF32(gguf!.get(name)!.load('f32'))]).toEqual([name, asF32(t.load('f32'))])
    const { metadata } = readGguf(at('f32/model.gguf'))
    expect(metadata.get('saqr.trained.kl')).toBe(Math.fround(saved!.compared!.kl))
    expect(metadata.get('saqr.trained.positions')).toBe(16)
    expect(readdirSync(at('f32'))).toEqual(['model.gguf'])
    await model.dispose()
    const again = await FastLanguageModel.fromPretrained(at('f32/model.gguf'), { device: 'cpu', dtype: 'float32', loadIn4bit: false })
    expect(again.tokenizer.decode(again.tokenizer.encode('falcon é'))).toBe('falcon é')
    await again.model.dispose()
  })

  it('several types in one call, each as near as its bits say', async () => {
    const { model } = await open('adapter')
    const saved = await model.savePretrainedGguf(at('types'), {
      quantizationMethod: ['f16', 'bf16', 'q8_0', 'q4_1', 'q5_0', 'q4_k' as 'q4_k_m'],
    })
    expect(saved.map(({ path }) => path.slice(at('types').length + 1))).toEqual(
      ['F16', 'BF16', 'Q8_0', 'Q4_1', 'Q5_0', 'Q4_K_M'].map((type) => `types.${type}.gguf`),
    )
    const kl = saved.map(({ compared }) => compared!.kl)
    for (const [i, { compared }] of saved.entries()) expect(kl[i]).toBeLessThan(4 * compared!.bound) // weights this large, in rows of 32, are what blocks are worst at
    expect(kl[0]).toBeLessThan(kl[1]!)
    expect(kl[2]).toBeLessThan(kl[3]!)
    // rows of 32 and 48 don't divide into 256: what llama.cpp takes instead, and f16 where 32 is too much
    const types = (name: string) => [...readGguf(join(at('types'), name)).tensors.values()].map(({ name, type }) => `${name} ${type.name}`)
    expect(types('types.Q4_K_M.gguf')).toEqual(
      expect.arrayContaining(['output.weight Q8_0', 'blk.0.attn_q.weight Q5_0', 'blk.0.ffn_down.weight F16']),
    )
    expect(saved.at(-1)!.notes.join()).toMatch(/tensors are .*Q5_0.* instead/)
    expect(types('types.Q4_1.gguf')).toEqual(
      expect.arrayContaining(['output.weight Q8_0', 'blk.0.attn_q.weight Q4_1', 'blk.0.ffn_down.weight F16']),
    )
    await model.dispose()
  })

  it('a template that saqr can’t read does not end the export: it is told', async () => {
    const { model, tokenizer } = await open('adapter')
    const rag = "{% import 'x' as y %}{% generation %}{% endgeneration %}"
    const given = new Tokenizer({ ...tokenizer.files, chatTemplates: { rag } })
    const { notes } = await saveGguf(model.language, given, at('rag.gguf'), { quantization: 'f32', check: false })
    expect(notes.join()).toMatch(/tokenizer\.chat_template\.rag keeps its {% generation %} blocks.*import/)
    await model.dispose()
  })

  it('what was computed in NF4 is written dequantised, as it was trained', async () => {
    const { model } = await open('adapter', true)
    const [saved] = await model.savePretrainedGguf(at('nf4.gguf'), { quantizationMethod: 'f32' })
    expect(saved!.compared!.kl).toBeLessThan(1e-9)
    expect(saved!.notes.join()).toContain('NF4 are written dequantised')
    await model.dispose()
  })

  it('a file that answers otherwise is an error, and is named so', async () => {
    const { model } = await open('adapter')
    const whole = decoders.Q8_0!
    ;(decoders as Record<string, typeof whole>).Q8_0 = (bytes, from, blocks, out, to) => {
      whole(bytes, from, blocks, out, to)
      for (let i = to; i < out.length; i++) out[i]! *= 1 + (i % 3)
    }
    try {
      await expect(model.savePretrainedGguf(at('wrong.gguf'))).rejects.toMatchObject({
        code: 'EXPORT_MISMATCH',
        message: expect.stringMatching(
          /wrong\.mismatch\.gguf is not the model that was trained: \S+ is not what was to be written: a block of Q8_0 begins with/,
        ),
      })
    } finally {
      ;(decoders as Record<string, typeof whole>).Q8_0 = whole
    }
    expect(existsSync(at('wrong.gguf'))).toBe(false)
    expect(existsSync(at('wrong.mismatch.gguf'))).toBe(true)
    await model.dispose()
  })

  it('a type that there is none of, a file for two, the base’s own file', async () => {
    const { model } = await open('adapter')
    await expect(model.savePretrainedGguf(at('x'), { quantizationMethod: 'q4_km' as never })).rejects.toThrow('did you mean q4_k_m?')
    await expect(model.savePretrainedGguf(at('x.gguf'), { quantizationMethod: ['f16', 'q8_0'] })).rejects.toThrow(
      'is one file: name a folder',
    )
    await model.savePretrainedGguf(at('own.gguf'), { quantizationMethod: 'f16', check: false })
    await model.dispose()
    const own = await FastLanguageModel.fromPretrained(at('own.gguf'), { device: 'cpu', loadIn4bit: false })
    await expect(own.model.savePretrainedGguf(at('own.gguf'))).rejects.toThrow('whose weights are read from it')
    await own.model.dispose()
  })

  it('a file that lacks the adapter is an error, however coarse its type', async () => {
    const { model } = await open('adapter')
    const { trainables } = model.language
    for (const name of trainables.names.filter((name) => name.includes('lora_B'))) {
      const { rows, cols } = trainables.shape(name)
      trainables.set(
        name,
        Float32Array.from({ length: rows * cols }, (_, i) => 0.04 * Math.sin(i * 1.7)),
      )
    }
    const unchanged = vi.spyOn(changed, 'changesOf').mockReturnValue({ changed: () => null, head: null })
    try {
      for (const quantizationMethod of ['q8_0', 'q4_0'] as const)
        await expect(model.savePretrainedGguf(at('lacks.gguf'), { quantizationMethod })).rejects.toMatchObject({
          code: 'EXPORT_MISMATCH',
          message: expect.stringMatching(/it has gone -?0\.\d\d \(± 0\.\d\d\) of the 0\.\d+ nats from the base/),
        })
    } finally {
      unchanged.mockRestore()
    }
    for (const quantizationMethod of ['q8_0', 'q4_0'] as const) {
      const [saved] = await model.savePretrainedGguf(at('lacks.gguf'), { quantizationMethod })
      expect(saved!.compared).toMatchObject({ base: { share: expect.closeTo(1, quantizationMethod === 'q8_0' ? 1 : 0) } })
    }
    await model.dispose()
  })

  it('beside a run: the file is the model of one step', async () => {
    const { model } = await open('adapter')
    const rows = Array.from({ length: 24 }, (_, i) => ({ text: `falcon ${i}: the fastest bird of the world, number ${i * i}` }))
    const trainer = new SFTTrainer({
      model,
      trainDataset: rows,
      report: 'none',
      args: { outputDir: at('run'), maxSteps: 12, learningRate: 0.05, perDeviceTrainBatchSize: 2, saveStrategy: 'no' },
    })
    const run = trainer.train()
    const [saved] = await model.savePretrainedGguf(at('beside.gguf'), { quantizationMethod: 'f32' })
    await run
    expect(saved!.compared!.kl).toBeLessThan(1e-9)
    await model.dispose()
  })

  it('an abort is heard while weights are written, and leaves nothing', async () => {
    const { model } = await open('adapter')
    for (const check of [false, true]) {
      const stop = new AbortController()
      const onProgress = () => void setImmediate(() => stop.abort(new Error('enough')))
      const request = { quantization: 'f16', check, signal: stop.signal, onProgress } as const
      await expect(saveGguf(model.language, model.tokenizer, at('aborted/model.gguf'), request)).rejects.toThrow('enough')
      expect(readdirSync(at('aborted'))).toEqual([])
    }
    await model.dispose()
  })

  it('a name that can’t be taken: one error, nothing left', async () => {
    const { model } = await open('adapter')
    mkdirSync(at('named/model.gguf'), { recursive: true })
    for (const check of [false, true]) {
      const wrote = model.savePretrainedGguf(at('named/model.gguf'), { quantizationMethod: 'f16', check })
      await expect(wrote).rejects.toMatchObject({ code: 'FORMAT_NOT_A_FILE' })
      expect(readdirSync(at('named'))).toEqual(['model.gguf'])
    }
    await model.dispose()
  })

  it('nothing to ask is an option’s error; lines go where report says', async () => {
    const { model } = await open('adapter')
    await expect(model.savePretrainedGguf(at('none.gguf'), { checkTexts: [] })).rejects.toMatchObject({ code: 'OPTION_INVALID' })
    await expect(model.savePretrainedGguf(at('none.gguf'), { checkTexts: [''] })).rejects.toThrow('no token to ask')
    expect(existsSync(at('none.gguf'))).toBe(false)
    const write = vi.spyOn(standardError, 'write').mockImplementation(() => true as never)
    try {
      await model.savePretrainedGguf(at('told.gguf'), { check: false, report: 'none' })
      expect(write).not.toHaveBeenCalled()
      await model.savePretrainedGguf(at('told.gguf'), { check: false, report: 'terminal' })
      expect(write).toHaveBeenCalledWith(expect.stringContaining('told.gguf: '))
    } finally {
      write.mockRestore()
    }
    expect(log).not.toHaveBeenCalled()
    await model.dispose()
  })

  it('weights that are no numbers are refused in f32 too', async () => {
    const { model } = await open('adapter')
    const { trainables } = model.language
    const name = trainables.names[0]!
    const { rows, cols } = trainables.shape(name)
    trainables.set(name, new Float32Array(rows * cols).fill(Number.NaN))
    const wrote = model.savePretrainedGguf(at('nan/model.gguf'), { quantizationMethod: 'f32' })
    await expect(wrote).rejects.toMatchObject({ code: 'EXPORT_NOT_FINITE' })
    expect(readdirSync(at('nan'))).toEqual([])
    await model.dispose()
  })

  it.runIf(existsSync('/dev/full'))('on a full disk: one error, nothing left', async () => {
    const { model } = await open('adapter')
    mkdirSync(at('full'))
    symlinkSync('/dev/full', at(`full/.model.unchecked.gguf.saqr-${hostname()}-${process.pid}`))
    const wrote = model.savePretrainedGguf(at('full/model.gguf'), { quantizationMethod: 'f16' })
    await expect(wrote).rejects.toMatchObject({ code: 'FORMAT_DISK_FULL' })
    expect(readdirSync(at('full'))).toEqual([])
    await model.dispose()
  })
})

it('an adapter whose last file can’t be written leaves the one of before as it was', async () => {
  const { model } = await open('base')
  const first = asTrained(model, { r: 4, loraAlpha: 8 })
  await first.savePretrained(at('whole'))
  const files = () =>
    readdirSync(at('whole'))
      .sort()
      .map((name) => [name, readFileSync(join(at('whole'), name), 'base64')])
  const before = files()
  await first.dispose()
  const second = asTrained(model, { r: 8, loraAlpha: 8 })
  const { tokenizer } = second.language
  second.language.tokenizer = { ...tokenizer!, chatTemplates: { 'no/such': 'x' } }
  await expect(second.savePretrained(at('whole'))).rejects.toMatchObject({ name: 'SaqrError' })
  expect(files()).toEqual(before)
  second.language.tokenizer = { ...tokenizer!, chatTemplates: { rag: 'x' } }
  await second.savePretrained(at('whole'))
  expect(readdirSync(at('whole'))).toEqual(expect.arrayContaining(['additional_chat_templates', 'adapter_config.json']))
  expect(readdirSync(at('whole')).filter((name) => name.startsWith('.'))).toEqual([])
  await second.dispose()
  await model.dispose()
})

describe('saqr export', () => {
  it('GGUF files, merged, the adapter', async () => {
    const run = await saqr(
      'export',
      '--model_name_or_path',
      at('adapter'),
      '--gguf',
      'f16,q8_0',
      '--output_dir',
      at('cli'),
      '--no_bf16',
      '--device',
      'cpu',
    )
    expect(run.code, run.err).toBe(0)
    expect(run.out).toMatch(
      /cli\.F16\.gguf: 0\.1 MB; opened again, it is \S+ nats from the trained model \(0\.0001 allowed\), which is \S+ from its base, the likeliest token is the same in 16 of 16\n/,
    )
    expect(readdirSync(at('cli')).sort()).toEqual(['Modelfile.F16', 'Modelfile.Q8_0', 'README.md', 'cli.F16.gguf', 'cli.Q8_0.gguf'])
    const blocks = vi.spyOn(nativeLibrary().native, 'quantiseGgml')
    const one = await saqr(
      ...['export', '--model_name_or_path', at('adapter'), '--gguf', 'q8_0', '--output_dir', at('cli1')],
      ...['--no_bf16', '--use_cpu', '--threads', '1'],
    )
    expect(one.code, one.err).toBe(0)
    expect(blocks.mock.calls.length).toBeGreaterThan(0)
    expect(new Set(blocks.mock.calls.map((call) => call.at(-1)))).toEqual(new Set([1]))
    blocks.mockRestore()
    for (const [flag, file] of [['--merged', 'model.safetensors'], ['--peft', 'adapter_model.safetensors']] as const) {
      const run = await saqr('export', '--model_name_or_path', at('adapter'), flag, '--output_dir', at(`cli${flag}`), '--device', 'cpu')
      expect(run.code, run.err).toBe(0)
      expect(existsSync(join(at(`cli${flag}`), file))).toBe(true)
    } // biome-ignore format: a table
  })

  it.each([
    [[], /nothing to write: give one of --gguf, --gguf_adapter, --merged and --peft/],
    [['--gguf', 'q8_0', '--peft'], /more than one thing to write/],
    [['--gguf', 'q8_0'], /nowhere to write to: name a folder with --output_dir/],
    [['--gguf', 'q8', '--output_dir', 'x'], /--gguf q8: did you mean q8_0\? The types are f32, f16/],
    [['--gguf', 'f16,f32', '--output_dir', 'x.gguf'], /--gguf names 2 types, and x\.gguf is one file/],
    [
      ['--merged', '--output_dir', at('base')],
      /config\.json is there already: name another --output_dir, or write over it with --overwrite/,
    ],
  ])('%j is refused before anything is opened', async (args, message) => {
    const run = await saqr('export', '--model_name_or_path', at('nowhere'), ...args)
    expect(run.code).not.toBe(0)
    expect(run.err).toMatch(message)
  })

  it('a folder without an adapter has none to write', async () => {
    const run = await saqr('export', '--model_name_or_path', at('base'), '--peft', '--output_dir', at('none'), '--device', 'cpu')
    expect(run.err).toMatch(/has no adapter, so there is none to write: --merged/)
  })
})

it('how far apart, and whether that is the type’s doing', () => {
  const [p, q] = [[0.5, 0.25, 0.25], [0.25, 0.5, 0.25]].map((list) => Float64Array.from(list, Math.log)) // biome-ignore format: short
  expect(compare([p!, p!], [p!, q!])).toEqual({ positions: 2, kl: expect.closeTo(Math.log(2) / 8, 12), most: 0.25, same: 0.5 })
  const nan = compare([Float64Array.of(Number.NaN, Number.NaN)], [Float64Array.of(Number.NaN, Number.NaN)])
  expect(nan.kl).toBeNaN()
  expect(judge(nan, 'q4_0', 'f32').holds).toBe(false)
  const broken = compare([p!], [Float64Array.of(Number.NaN, 0, 0)])
  expect(judge(broken, 'q4_0', 'bf16').holds).toBe(false)
  const apart = (kl: number) => ({ positions: 1, kl, most: 0, same: 1 })
  expect(judge(apart(2e-4), 'f16', 'f32').holds).toBe(false)
  expect(judge(apart(2e-4), 'f16', 'bf16').holds).toBe(true)
  expect(judge(apart(0.6), 'q4_0', 'f32')).toMatchObject({ holds: true, note: expect.stringContaining('coarse') })
  expect(judge(apart(2.1), 'q4_0', 'f32').holds).toBe(false)
})

it('which of two a file is, however far from both', () => {
  const list = (positions: number[][]) =>
    positions.map((logits) => {
      const sum = Math.log(logits.reduce((all, x) => all + Math.exp(x), 0))
      return Float64Array.from(logits, (x) => x - sum)
    })
  const noise = (i: number, t: number) => Math.sin(12.9 * i + 78.2 * t + i * t)
  const logits = (trained: number, coarse: number) =>
    Array.from({ length: 16 }, (_, i) =>
      Array.from({ length: 200 }, (_, t) => noise(i, t) + trained * 0.4 * noise(i + 50, t) + coarse * 0.9 * noise(i + 100, t)),
    )
  const [base, trained] = [list(logits(0, 0)), list(logits(1, 0))]
  const file = (of: number) => {
    const saved = list(logits(of, 1))
    return { compared: compare(trained, saved), base: fromBase(trained, base, saved) }
  }
  const [right, wrong] = [file(1), file(0)]
  expect(right.compared.kl).toBeGreaterThan(2 * right.base.kl) // the type's doing outweighs the training's
  expect(right.base.share).toBeCloseTo(1, 0)
  expect(wrong.base.share).toBeCloseTo(0, 0)
  expect(judge(right.compared, 'q4_0', 'f32', right.base).holds).toBe(true)
  expect(judge(wrong.compared, 'q4_0', 'f32', wrong.base).holds).toBe(false)
  expect(judge(wrong.compared, 'q4_0', 'f32').holds).toBe(true) // its distance alone doesn't say
  const untrained = fromBase(base, base, trained)
  expect(judge(compare(base, base), 'q4_0', 'f32', untrained).holds).toBe(true)
})

it('how much is written is told to the end', () => {
  const said: string[] = []
  const tell = progress({ err: { isTTY: true, columns: 80, write: (text: string) => said.push(text) } as never }, 'x')
  for (const share of [0.01, 0.5, 0.97, 0.99, 1, 1]) tell(share)
  expect(said).toEqual(['\rx: 50 %', '\rx: 97 %', '\rx: 100 %\n'])
})

it('a family that GGUF has no architecture for is refused by name', () => {
  const model = openConfig({
    model_type: 'llama',
    vocab_size: 8,
    hidden_size: 8,
    intermediate_size: 8,
    num_hidden_layers: 1,
    num_attention_heads: 1,
  })
  expect(() => ggufOf({ ...model, family: 'other' })).toThrow(
    /no GGUF architecture is known here for other models, only for llama, mistral/,
  )
})
