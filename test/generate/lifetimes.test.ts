/** What answers hold of a model, while it is trained, its adapters come and go, and its memory grows. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { FastLanguageModel, type PretrainedModel, SFTTrainer } from '../../src/index.ts'
import { writeTinyModel } from '../cli/tiny-model.ts'

const TEMPLATE =
  "{% for m in messages %}<{{ m['role'] }}>{{ m['content'] }}\n{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}"
const OPTIONS = { device: 'cpu', loadIn4bit: false, dtype: 'float32' } as const
const folder = mkdtempSync(join(tmpdir(), 'saqr-lifetimes-'))
beforeAll(async () => {
  await writeTinyModel(join(folder, 'model'))
  writeFileSync(join(folder, 'model/chat_template.jinja'), TEMPLATE)
})
afterAll(() => rmSync(folder, { recursive: true }))

async function open(peft: object = {}): Promise<{ base: PretrainedModel; model: PretrainedModel }> {
  const { model: base } = await FastLanguageModel.fromPretrained(join(folder, 'model'), OPTIONS)
  return { base, model: FastLanguageModel.getPeftModel(base, { r: 4, ...peft }) }
}

/** an adapter that says something else than its base */
function speakUp({ language: { trainables } }: PretrainedModel, value: number): void {
  for (const name of trainables.names.filter((name) => name.includes('lora_B')))
    trainables.set(name, new Float32Array(trainables.get(name).length).fill(value))
}

async function read(pieces: AsyncIterable<string>): Promise<string> {
  let text = ''
  for await (const piece of pieces) text += piece
  return text
}

const trainerOf = (model: PretrainedModel, name: string, steps = 2) =>
  new SFTTrainer({
    model,
    trainDataset: [{ text: 'one two three' }, { text: 'three two one' }],
    args: { outputDir: join(folder, name), maxSteps: steps, learningRate: 0.5, saveStrategy: 'no' },
    report: [],
  })

it.each([
  ['a run', (model: PretrainedModel) => trainerOf(model, 'run').train()],
  ['values that are set', async (model: PretrainedModel) => speakUp(model, 0.5)],
])('a chat reads what was said anew after %s', async (_, change) => {
  const { base, model } = await open()
  const talk = model.chat({ maxNewTokens: 8 })
  const first = await read(talk.send('one'))
  await change(model)
  const second = await read(talk.send('two'))
  expect(second).toBe(await read(model.generate(talk.messages.slice(0, -1), { maxNewTokens: 8 })))
  // the change is one that is heard
  talk.reset()
  expect(await read(talk.send('one'))).not.toBe(first)
  talk.dispose()
  await base.dispose()
})

it('the base beside an adapter goes with it', async () => {
  const { base, model } = await open()
  const { users } = base.language.opened
  const talk = model.chat({ adapter: false, maxNewTokens: 4 })
  await read(talk.send('one'))
  await read(model.generate('one', { adapter: false, maxNewTokens: 4 }))
  expect(users.size).toBe(3)
  await model.dispose()
  expect([...users]).toEqual([base.language])
  await expect(talk.send('two').next()).rejects.toMatchObject({ code: 'MODEL_DISPOSED' })
  talk.dispose()
  const rows = base.vocabSize
  expect(await base.resizeTokenEmbeddings(rows + 8)).toBe(rows + 8)
  await base.dispose()
})

it('beside a run nothing is loaded that it was planned without, and its adapter stays', async () => {
  const made = await open({ modulesToSave: ['lm_head'] })
  const saved = join(folder, 'adapter')
  await made.model.savePretrained(saved)
  await made.base.dispose()
  // its own folder opens what the adapter reads of the base: the head that it trains a copy of is not there
  const { model } = await FastLanguageModel.fromPretrained(saved, OPTIONS)
  await model.loadAdapter(saved, 'other')
  let steps = 0
  for await (const event of trainerOf(model, 'beside').stream()) {
    if (event.type !== 'step') continue
    steps++
    expect(() => model.generate('one', { adapter: false })).toThrow(expect.objectContaining({ code: 'MODEL_TRAINING' }))
    await expect(model.loadAdapter(saved, 'third')).rejects.toMatchObject({ code: 'MODEL_TRAINING' })
    await expect(model.deleteAdapter('default')).rejects.toMatchObject({
      code: 'MODEL_TRAINING',
      message: expect.stringMatching(/"default"/),
    })
  }
  expect(steps).toBe(2)
  expect(model.adapterNames).toEqual(['default', 'other'])
  await read(model.generate('one', { adapter: false, maxNewTokens: 2 }))
  await model.loadAdapter(saved, 'third')
  await model.deleteAdapter('default')
  await model.dispose()
})

it('a conversation can’t begin anew while an answer would come back to it', async () => {
  const { base, model } = await open()
  const talk = model.chat({ maxNewTokens: 8 })
  const answer = talk.send('one')
  await answer.next()
  expect(() => talk.reset()).toThrow(expect.objectContaining({ code: 'CHAT_BUSY' }))
  await answer.return('end')
  talk.reset()
  expect(talk.messages).toEqual([])
  talk.dispose()
  await base.dispose()
})

it('equal prompts of a list are drawn for apart, the first as it is alone', async () => {
  const { base, model } = await open()
  const asked = { maxNewTokens: 12, temperature: 1, seed: 1 }
  const answers = ['', '']
  for await (const { index, text } of model.generate(['one', 'one'], asked)) answers[index] += text
  expect(answers[0]).toBe(await read(model.generate('one', asked)))
  expect(answers[1]).not.toBe(answers[0])
  await base.dispose()
})
