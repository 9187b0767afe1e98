/** A text model beside a vision tower: trained, resumed, merged and saved, with what stands beside it as it was. */
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, it } from 'vitest'
import { PEFT_PREFIX } from '../../src/formats/peft/read.ts'
import { readSafetensors } from '../../src/formats/safetensors/read.ts'
import { writeSafetensors } from '../../src/formats/safetensors/write.ts'
import { FastLanguageModel, loadDataset, type PretrainedModel, SFTTrainer } from '../../src/index.ts'

// recorded by tools/oracle/training.py and families.py
const trained = join(import.meta.dirname, '../fixtures/training/full-gemma3-whole')
const families = join(import.meta.dirname, '../fixtures/families')
const work = mkdtempSync(join(tmpdir(), 'saqr-composite-'))
afterAll(() => rmSync(work, { recursive: true }))

const json = (path: string) => JSON.parse(readFileSync(path, 'utf8'))

function tensorsOf(folder: string, file = 'model.safetensors'): Map<string, { dtype: string; bytes: Buffer }> {
  const path = join(folder, file)
  const all = readFileSync(path)
  return new Map(
    [...readSafetensors(path).tensors].map(([name, { dtype, offset, bytes }]) => [
      name,
      { dtype, bytes: all.subarray(offset, offset + bytes) },
    ]),
  )
}

const isBeside = (name: string) => /(vision_tower|multi_modal_projector)\./.test(name)

/** the tensors of the vision tower are the base's, and every tensor has the name it had */
function checkBeside(saved: string, base: string): void {
  const [ours, theirs] = [tensorsOf(saved), tensorsOf(base)]
  expect([...ours.keys()].sort()).toEqual([...theirs.keys()].sort())
  const beside = [...theirs.keys()].filter(isBeside)
  expect(beside.length).toBeGreaterThan(15)
  for (const name of beside) expect(ours.get(name), name).toEqual(theirs.get(name))
  const { dtype: _, ...config } = json(join(base, 'config.json'))
  const { dtype: __, ...written } = json(join(saved, 'config.json'))
  expect(written).toEqual(config)
}

async function opened<T>(folder: string, options: object, use: (model: PretrainedModel) => Promise<T>): Promise<T> {
  const { model } = await FastLanguageModel.fromPretrained(folder, { device: 'cpu', loadIn4bit: false, ...options })
  try {
    return await use(model)
  } finally {
    await model.dispose()
  }
}

async function train(model: PretrainedModel, outputDir: string, args: object = {}): Promise<void> {
  const trainDataset = await loadDataset(join(trained, 'train.jsonl'))
  const steps = { maxSteps: 4, saveSteps: 2, learningRate: 5e-3, perDeviceTrainBatchSize: 2, outputDir: join(work, outputDir) }
  await new SFTTrainer({ model, processingClass: model.tokenizer, trainDataset, args: { ...steps, ...args } }).train()
}

it.each([
  ['f32', {}],
  ['bf16', {}],
  ['bf16', { loadIn4bit: true }],
] as const)(
  'an adapter is trained, resumed to the byte and merged, in %s with %j',
  async (dtype, more) => {
    const name = `${dtype}-${'loadIn4bit' in more}`
    const adapterOf = (folder: string) => readFileSync(join(folder, 'adapter_model.safetensors'))
    await opened(join(trained, 'model'), { dtype, ...more }, async (base) => {
      const model = FastLanguageModel.getPeftModel(base, { r: 4, loraDropout: 0 })
      await train(model, name)
      await model.savePretrained(join(work, `${name}-adapter`))
      await model.savePretrainedMerged(join(work, `${name}-merged`))
    })
    await opened(join(trained, 'model'), { dtype, ...more }, async (base) => {
      const model = FastLanguageModel.getPeftModel(base, { r: 4, loraDropout: 0 })
      await train(model, `${name}-again`, { resumeFromCheckpoint: join(work, name, 'checkpoint-2') })
      await model.savePretrained(join(work, `${name}-resumed`))
    })
    expect(adapterOf(join(work, `${name}-resumed`))).toEqual(adapterOf(join(work, `${name}-adapter`)))
    checkBeside(join(work, `${name}-merged`), join(trained, 'model'))
    // q_proj is a module of the vision tower too, which PEFT would adapt without it
    const { exclude_modules, target_modules } = json(join(work, `${name}-adapter`, 'adapter_config.json'))
    expect(target_modules).toContain('q_proj')
    const excluded = new RegExp(`^(?:${exclude_modules})$`)
    expect(excluded.test('model.vision_tower.encoder.layers.0.self_attn.q_proj')).toBe(true)
    expect(excluded.test('model.language_model.layers.0.self_attn.q_proj')).toBe(false)
    expect([...tensorsOf(join(work, `${name}-adapter`), 'adapter_model.safetensors').keys()].filter(isBeside)).toEqual([])
  },
  60_000,
)

it('all weights are trained, those of the vision tower are not', async () => {
  await opened(join(trained, 'model'), { dtype: 'f32', fullFinetuning: true }, async (model) => {
    await train(model, 'full')
    await model.savePretrained(join(work, 'full-saved'))
  })
  checkBeside(join(work, 'full-saved'), join(trained, 'model'))
  const [ours, theirs] = [tensorsOf(join(work, 'full-saved')), tensorsOf(join(trained, 'model'))]
  for (const [name, { bytes }] of ours) if (!isBeside(name)) expect(bytes.equals(theirs.get(name)!.bytes), name).toBe(false)
})

it('what stands beside is written as it is stored, whatever the text model is opened in', async () => {
  await opened(join(trained, 'model'), { dtype: 'bf16' }, (model) => model.savePretrainedMerged(join(work, 'whole-bf16')))
  const saved = tensorsOf(join(work, 'whole-bf16'))
  for (const [name, { dtype }] of saved) expect([name, dtype]).toEqual([name, isBeside(name) ? 'F32' : 'BF16'])
  checkBeside(join(work, 'whole-bf16'), join(trained, 'model'))
})

it('rows with images are refused by name', async () => {
  await opened(join(trained, 'model'), { dtype: 'f32' }, async (base) => {
    const model = FastLanguageModel.getPeftModel(base, { r: 4 })
    for (const [row, said] of [
      [{ text: 'hello there', images: ['x.png'] }, /the column images holds what the model would see or hear/],
      [{ text: 'hello there', image: { path: 'x.png' } }, /the column image holds what the model would see or hear/],
      [
        {
          prompt: [{ role: 'user', content: [{ type: 'image' }, { type: 'text', text: 'q' }] }],
          completion: [{ role: 'assistant', content: 'a' }],
        },
        /"image", and only text is trained on/,
      ],
    ] as const) {
      writeFileSync(join(work, 'rows.jsonl'), `${JSON.stringify(row)}\n`)
      const trainDataset = await loadDataset(join(work, 'rows.jsonl'))
      const trainer = () =>
        new SFTTrainer({ model, processingClass: model.tokenizer, trainDataset, args: { outputDir: join(work, 'images'), maxSteps: 1 } })
      await expect((async () => trainer().train())()).rejects.toMatchObject({ code: 'DATA_ROW', message: expect.stringMatching(said) })
    }
    // a column that is empty says nothing
    writeFileSync(join(work, 'rows.jsonl'), `${JSON.stringify({ text: 'hello there', images: [] })}\n`)
    const trainDataset = await loadDataset(join(work, 'rows.jsonl'))
    await new SFTTrainer({
      model,
      processingClass: model.tokenizer,
      trainDataset,
      args: { outputDir: join(work, 'images'), maxSteps: 1 },
    }).train()
  })
})

it('an adapter of PEFT’s that names modules of the vision tower too is kept whole, one that changes them is refused', async () => {
  const whole = join(families, 'gemma3-whole')
  const given = tensorsOf(join(whole, 'adapter'), 'adapter_model.safetensors')
  const [name] = [...given.keys()].filter((key) => isBeside(key) && key.endsWith('lora_B.weight'))
  expect(name).toContain(`${PEFT_PREFIX}model.vision_tower.`)
  const adapter = join(work, 'changes')
  cpSync(join(whole, 'adapter'), adapter, { recursive: true })
  const { tensors } = readSafetensors(join(whole, 'adapter', 'adapter_model.safetensors'))
  const written = [...given].map(([key, { dtype, bytes }]) => ({
    name: key,
    dtype,
    shape: tensors.get(key)!.shape,
    data: key === name ? Uint8Array.from(bytes, (_, i) => (i === 2 ? 1 : 0)) : Uint8Array.from(bytes),
  }))
  await writeSafetensors(join(adapter, 'adapter_model.safetensors'), written, { format: 'pt' })
  const base = join(work, 'base')
  cpSync(join(whole, 'model'), base, { recursive: true })
  for (const file of ['tokenizer.json', 'tokenizer_config.json']) cpSync(join(trained, 'model', file), join(base, file))
  const config = json(join(adapter, 'adapter_config.json'))
  writeFileSync(join(adapter, 'adapter_config.json'), JSON.stringify({ ...config, base_model_name_or_path: base }))
  await expect(FastLanguageModel.fromPretrained(adapter, { device: 'cpu', loadIn4bit: false })).rejects.toMatchObject({
    code: 'FORMAT_ADAPTER',
    message: expect.stringMatching(/changes model\.vision_tower\..*stands beside the text model/),
  })
  cpSync(join(whole, 'adapter', 'adapter_model.safetensors'), join(adapter, 'adapter_model.safetensors'))
  writeFileSync(join(base, 'preprocessor_config.json'), '{"image_seq_length": 4}')
  await opened(adapter, { dtype: 'f32' }, async (model) => {
    await model.savePretrained(join(work, 'kept'))
    await model.savePretrainedMerged(join(work, 'kept-merged'))
  })
  expect(json(join(work, 'kept-merged', 'preprocessor_config.json'))).toEqual({ image_seq_length: 4 })
  expect(tensorsOf(join(work, 'kept'), 'adapter_model.safetensors')).toEqual(given)
})

it('adapters that stay out of the vision tower by different words are not combined by weights', async () => {
  for (const [name, more] of Object.entries({ usual: {}, same: {}, own: { excludeModules: ['o_proj'] } }))
    await opened(join(trained, 'model'), { dtype: 'f32' }, async (base) => {
      const model = FastLanguageModel.getPeftModel(base, { r: 2, targetModules: ['q_proj', 'o_proj'], ...more })
      await model.savePretrained(join(work, name))
    })
  await opened(join(work, 'usual'), { dtype: 'f32' }, async (model) => {
    for (const name of ['same', 'own']) await model.loadAdapter(join(work, name), name)
    const outside = model.language.adapter.config!.excludeModules
    await model.addWeightedAdapter(['default', 'same'], [1, 1], 'both')
    model.setAdapter('both')
    expect(outside).toMatch(/vision_tower/)
    expect(model.language.adapter.config!.excludeModules).toBe(outside)
    await expect(model.addWeightedAdapter(['same', 'own'], [1, 1], 'x')).rejects.toThrow(
      /same and own can't be combined by weights: their exclude_modules differ \(".*vision_tower.*", \["o_proj"\]\), by which adapters of a gemma3 model stay out of model\.vision_tower/,
    )
  })
})

it('weights of the whole beside a config.json of the text model alone: refused, naming what stands there', async () => {
  const folder = join(work, 'text-alone')
  cpSync(join(trained, 'model'), folder, { recursive: true })
  const { text_config, ...whole } = json(join(folder, 'config.json'))
  writeFileSync(
    join(folder, 'config.json'),
    JSON.stringify({ ...whole, vision_config: undefined, ...text_config, architectures: ['Gemma3ForCausalLM'] }),
  )
  await expect(FastLanguageModel.fromPretrained(folder, { device: 'cpu', loadIn4bit: false })).rejects.toMatchObject({
    code: 'MODEL_WEIGHT',
    message: expect.stringMatching(
      /no tensor 'model\.embed_tokens\.weight', which its config\.json calls for \(gemma3_text\), but 'language_model\.model\.embed_tokens\.weight': config\.json and weights are of different classes/,
    ),
  })
})

it('an adapter by the names of before transformers 4.52 is the same one, whatever names its modules', async () => {
  const whole = join(families, 'gemma3-whole')
  const base = join(work, 'base-of-older')
  cpSync(join(whole, 'model'), base, { recursive: true })
  for (const file of ['tokenizer.json', 'tokenizer_config.json']) cpSync(join(trained, 'model', file), join(base, file))
  const given = readSafetensors(join(whole, 'adapter', 'adapter_model.safetensors')).tensors
  const bytes = readFileSync(join(whole, 'adapter', 'adapter_model.safetensors'))
  const config = json(join(whole, 'adapter', 'adapter_config.json'))
  const older = (name: string) =>
    name.replace('model.language_model.layers', 'language_model.model.layers').replace('model.vision_tower.', 'vision_tower.')
  const write = async (name: string, rename: (name: string) => string, changes: object, has: (key: string) => boolean = () => true) => {
    const folder = join(work, name)
    cpSync(join(whole, 'adapter'), folder, { recursive: true })
    const kept = [...given].filter(([key]) => has(key))
    const tensors = kept.map(([key, { dtype, shape, offset, bytes: size }]) => {
      const data = Uint8Array.from(bytes.subarray(offset, offset + size))
      return { name: PEFT_PREFIX + rename(key.slice(PEFT_PREFIX.length)), dtype, shape, data }
    })
    await writeSafetensors(join(folder, 'adapter_model.safetensors'), tensors, { format: 'pt' })
    writeFileSync(join(folder, 'adapter_config.json'), JSON.stringify({ ...config, base_model_name_or_path: base, ...changes }))
    return folder
  }
  const saved = async (folder: string) => {
    await opened(folder, { dtype: 'f32' }, (model) => model.savePretrained(`${folder}-saved`))
    return tensorsOf(`${folder}-saved`, 'adapter_model.safetensors')
  }
  const expected = await saved(await write('of-today', (name) => name, {}))
  expect(await saved(await write('of-before', older, {}))).toEqual(expected)
  // paths are older ones too, and so is a key by which one has another scale
  const paths = [...given.keys()].flatMap((key) => /^base_model\.model\.(.*)\.lora_A\.weight$/.exec(key)?.[1] ?? [])
  const key = 'layers.1.mlp.down_proj'
  const scaled = (at: string) => ({ alpha_pattern: { [`${at}.${key}`]: 3 }, target_modules: paths })
  const today = await write('scaled-today', (name) => name, scaled('model.language_model'))
  const before = await write('scaled-before', older, { ...scaled('language_model.model'), target_modules: paths.map(older) })
  for (const folder of [today, before]) expect(await saved(folder)).toEqual(expected)
  const merged = async (folder: string) => {
    await opened(folder, { dtype: 'f32' }, (model) => model.savePretrainedMerged(`${folder}-merged`))
    return tensorsOf(`${folder}-merged`)
  }
  expect(await merged(before)).toEqual(await merged(today))
  // tails, expressions and escaped keys mean what they meant over the older paths
  const alpha = (key: string) => ({ alpha_pattern: { [key]: 3 } })
  const withoutQ = (key: string) => !/language_model\..*layers\.0\.self_attn\.q_proj/.test(key)
  const ofText = (key: string) => key.includes('language_model')
  const rows: [string, object, object, ((key: string) => boolean)?][] = [
    ['tail', alpha(`language_model.${key}`), alpha(`model.${key}`)],
    [
      'escaped',
      alpha(String.raw`model\.language_model\.layers\.1\.mlp\.down_proj`),
      alpha(String.raw`language_model\.model\.layers\.1\.mlp\.down_proj`),
    ],
    ['anchored', alpha(`^model.language_model.${key}`), alpha(`^language_model.model.${key}`)],
    ['group', alpha('model.language_model.layers.(0|1).mlp.down_proj'), alpha('language_model.model.layers.(0|1).mlp.down_proj')],
    [
      'excluded',
      { exclude_modules: ['model.language_model.layers.0.self_attn.q_proj'] },
      { exclude_modules: ['language_model.model.layers.0.self_attn.q_proj'] },
      withoutQ,
    ],
    [
      'excluded-by-expression',
      { exclude_modules: String.raw`model\.vision_tower\..*|model\.language_model\.layers\.0\.self_attn\.q_proj` },
      { exclude_modules: String.raw`vision_tower\..*|language_model\.model\.layers\.0\.self_attn\.q_proj` },
      (key) => ofText(key) && withoutQ(key),
    ],
    [
      'expression',
      { target_modules: String.raw`model\.language_model\.layers\.\d+\..*_proj`, ...alpha(`language_model.${key}`) },
      { target_modules: String.raw`language_model\.model\.layers\.\d+\..*_proj`, ...alpha(`model.${key}`) },
      ofText,
    ],
  ]
  const plain = await merged(await write('plain', (name) => name, {}))
  for (const [name, now, then, has] of rows) {
    const theirs = await merged(await write(`${name}-now`, (name) => name, now, has))
    expect(theirs, name).not.toEqual(plain)
    const folder = await write(`${name}-then`, older, then, has)
    expect(await merged(folder), name).toEqual(theirs)
    // and saved, by today's
    await saved(folder)
    writeFileSync(
      join(`${folder}-saved`, 'adapter_config.json'),
      JSON.stringify({ ...json(join(`${folder}-saved`, 'adapter_config.json')), base_model_name_or_path: base }),
    )
    expect(await merged(`${folder}-saved`), name).toEqual(theirs)
  }
  const { exclude_modules: outside } = json(join(work, 'excluded-by-expression-then-saved', 'adapter_config.json'))
  for (const path of ['model.vision_tower.encoder.layers.0.self_attn.q_proj', 'model.language_model.layers.0.self_attn.q_proj'])
    expect(new RegExp(`^(?:${outside})$`).test(path)).toBe(true)
  // keys of the one age beside a file of the other
  for (const [rename, at] of [
    [older, 'model.language_model'],
    [(name: string) => name, 'language_model.model'],
  ] as const)
    await expect(saved(await write(`mixed-${at}`, rename, alpha(`${at}.${key}`)))).rejects.toThrow(
      /alpha_pattern has the key \S+\.layers\.1\.mlp\.down_proj, which means .* as .*: give keys by the paths that the file has/,
    )
  const text = await write('of-text', (name) => name.replace('model.language_model.layers', 'model.layers'), {})
  await expect(saved(text)).rejects.toThrow(
    /has no model\.language_model\.layers.*: it has model\.layers\.\d.*, of a base of another class, which base_model_name_or_path must name/,
  )
  // what the file has of this very base says nothing of another: modules of the vision tower, others of the text model
  const stray = (name: string) => name.replace('model.language_model.layers.0', 'model.layers.0')
  const ofTower = await write(
    'of-tower',
    (name) => name,
    {},
    (key) => !ofText(key),
  )
  for (const folder of [ofTower, await write('of-both', stray, {}, ofText)])
    await expect(saved(folder)).rejects.toThrow(
      /has no model\.language_model\.layers\.0\.\S+, which its adapter_config\.json calls for on this base\.$/,
    )
})
