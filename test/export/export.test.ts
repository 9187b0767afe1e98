/** A tiny model trained here, exported through the command line and the library: what is written is what was trained, or an error. */
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync } from 'node:fs'
import { hostname, tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { exportModel } from '../../src/cli/verbs/export.ts'
import { compare, judge } from '../../src/export/gguf-check.ts'
import { ggufOf } from '../../src/export/gguf-config.ts'
import { decoders } from '../../src/formats/gguf/dequantise.ts'
import { readGguf } from '../../src/formats/gguf/open.ts'
import { asF32 } from '../../src/formats/numbers.ts'
import { FastLanguageModel } from '../../src/index.ts'
import { openCheckpoint } from '../../src/models/checkpoint.ts'
import { openConfig } from '../../src/models/registry.ts'
import { commandLine } from '../cli/saqr.ts'
import { writeTinyModel } from '../cli/tiny-model.ts'

const folder = mkdtempSync(join(tmpdir(), 'saqr-export-'))
const at = (name: string) => join(folder, name)
const saqr = commandLine({ export: exportModel })
let log: ReturnType<typeof vi.spyOn>

beforeAll(async () => {
  log = vi.spyOn(console, 'log').mockImplementation(() => {})
  await writeTinyModel(at('base'))
  const { model } = await FastLanguageModel.fromPretrained(at('base'), { device: 'cpu', dtype: 'float32', loadIn4bit: false })
  const peft = FastLanguageModel.getPeftModel(model, { r: 4, loraAlpha: 8 })
  for (const name of peft.language.trainables.names) {
    const { rows, cols } = peft.language.trainables.shape(name)
    peft.language.trainables.set(
      name,
      Float32Array.from({ length: rows * cols }, (_, i) => 0.2 * Math.sin(i * 1.7 + name.length)),
    )
  }
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
      quantizationMethod: ['f16', 'bf16', 'q8_0', 'q4_k_m'],
    })
    expect(saved.map(({ path }) => path.slice(at('types').length + 1))).toEqual(
      ['F16', 'BF16', 'Q8_0', 'Q4_K_M'].map((type) => `types.${type}.gguf`),
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
          /wrong\.mismatch\.gguf is not the model that was trained: over 16 next tokens it is [\d.]+ nats apart/,
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
      /cli\.F16\.gguf: 0\.1 MB; opened again, it is \S+ nats from the trained model \(0\.0001 allowed\), the likeliest token is the same in 16 of 16\n/,
    )
    expect(readdirSync(at('cli')).sort()).toEqual(['cli.F16.gguf', 'cli.Q8_0.gguf'])
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
  const broken = compare([p!], [Float64Array.of(Number.NaN, 0, 0)])
  expect(judge(broken, 'q4_0', 'bf16').holds).toBe(false)
  const apart = (kl: number) => ({ positions: 1, kl, most: 0, same: 1 })
  expect(judge(apart(2e-4), 'f16', 'f32').holds).toBe(false)
  expect(judge(apart(2e-4), 'f16', 'bf16').holds).toBe(true)
  expect(judge(apart(0.6), 'q4_0', 'f32')).toMatchObject({ holds: true, note: expect.stringContaining('coarse') })
  expect(judge(apart(2.1), 'q4_0', 'f32').holds).toBe(false)
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
