/** What answers hold of a model, while it is trained, its adapters come and go, and its memory grows. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { FastLanguageModel, type PretrainedModel, SFTTrainer } from '../../src/index.ts'
import { writeTinyModel } from '../cli/tiny-model.ts'

const TEMPLATE =
  "{% for m in messages %}<{{ m['role'] }}>{{ m['content'] }}\n{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}"
const folder = mkdtempSync(join(tmpdir(), 'saqr-lifetimes-'))
beforeAll(async () => {
  await writeTinyModel(join(folder, 'model'))
  writeFileSync(join(folder, 'model/chat_template.jinja'), TEMPLATE)
})
afterAll(() => rmSync(folder, { recursive: true }))

async function open(peft: object = {}): Promise<{ base: PretrainedModel; model: PretrainedModel }> {
  const options = { device: 'cpu', loadIn4bit: false, dtype: 'float32' } as const
  const { model: base } = await FastLanguageModel.fromPretrained(join(folder, 'model'), options)
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
