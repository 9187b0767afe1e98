/** evalPrompts: answers of the model as it is at each evaluation, and training as without them. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { readEvalPrompts } from '../../src/data/eval-prompts.ts'
import { loadDataset } from '../../src/data/load.ts'
import { FastLanguageModel } from '../../src/fast-language-model.ts'
import type { PretrainedModel } from '../../src/pretrained-model.ts'
import type { TrainEvent } from '../../src/track/events.ts'
import { terminal } from '../../src/track/terminal.ts'
import { SFTTrainer } from '../../src/train/sft-trainer.ts'

const fixture = join(import.meta.dirname, '../fixtures/training/evaluation')
const work = mkdtempSync(join(tmpdir(), 'saqr-eval-prompts-'))
afterAll(() => rmSync(work, { recursive: true }))
const file = (name: string, text: string) => {
  writeFileSync(join(work, name), text)
  return join(work, name)
}
const texts = readFileSync(join(fixture, 'eval.jsonl'), 'utf8').trimEnd().split('\n').map((line) => (JSON.parse(line) as { text: string }).text) // biome-ignore format: short
const prompts = texts.slice(0, 2).map((text) => text.split(' ').slice(0, 3).join(' '))

async function run(name: string, evalPrompts: string | null, asked?: (model: PretrainedModel) => Promise<void>) {
  const { model: base } = await FastLanguageModel.fromPretrained(join(fixture, 'model'), { device: 'cpu', dtype: 'float32', loadIn4bit: false }) // biome-ignore format: short
  const model = FastLanguageModel.getPeftModel(base, { r: 4 })
  const outputDir = join(work, name)
  try {
    const trainer = new SFTTrainer({
      model,
      trainDataset: await loadDataset(join(fixture, 'train.jsonl')),
      evalDataset: await loadDataset(join(fixture, 'eval.jsonl')),
      args: {
        ...{ maxSteps: 8, perDeviceTrainBatchSize: 4, learningRate: 5e-3, evalStrategy: 'steps', evalSteps: 4, evalOnStart: true },
        ...{ saveSteps: 8, loggingSteps: 1, reportTo: ['jsonl', 'tensorboard'], outputDir, evalPrompts },
      },
    })
    const events: TrainEvent[] = []
    for await (const event of trainer.stream()) events.push(event)
    await asked?.(model)
    return { events, outputDir }
  } finally {
    await model.dispose()
  }
}

describe('a run that is asked', () => {
  it('answers at each evaluation as the model then does, and trains to the same bits', async () => {
    const path = file('prompts.txt', `${prompts[0]}\n\n${prompts[1]}\n`)
    const after: string[] = ['', '']
    const { events, outputDir } = await run('asked', path, async (model) => {
      for await (const { index, text } of model.generate(prompts)) after[index] += text
    })
    const answers = events.filter((event) => event.type === 'answers')
    expect(answers.map(({ step }) => step)).toEqual([0, 4, 8])
    expect(events.map(({ type }) => type).filter((type) => type === 'eval' || type === 'answers')).toEqual(
      ['eval', 'answers', 'eval', 'answers', 'eval', 'answers'], // biome-ignore format: short
    )
    for (const event of answers) expect(event.answers.map(({ prompt }) => prompt)).toEqual(prompts)
    expect(answers.at(-1)!.answers.map(({ answer }) => answer)).toEqual(after)
    expect(answers[0]!.answers).not.toEqual(answers.at(-1)!.answers)
    expect(answers.at(-1)!.answers[0]!.ending).toMatch(/^(end|length|positions)$/)

    const lines = readFileSync(join(outputDir, 'events.jsonl'), 'utf8').trimEnd().split('\n').map((line) => JSON.parse(line)) // biome-ignore format: short
    expect(lines.filter(({ type }) => type === 'answers').map(({ time: _, ...event }) => event)).toEqual(answers)
    const runs = join(outputDir, 'runs')
    const [folder] = readdirSync(runs)
    const board = readFileSync(join(runs, folder!, readdirSync(join(runs, folder!))[0]!)).toString('utf8')
    expect(board.match(/eval_prompts\/2\/text_summary/g)).toHaveLength(3)
    expect(board).toContain(`    ${prompts[1]}`)

    const without = await run('not-asked', null)
    for (const name of ['adapter_model.safetensors', 'optimizer.safetensors'])
      expect(readFileSync(join(outputDir, 'checkpoint-8', name)).equals(readFileSync(join(without.outputDir, 'checkpoint-8', name)))).toBe(true) // biome-ignore format: short
    const losses = (list: typeof events) => list.flatMap((event) => (event.type === 'log' ? [event.loss] : event.type === 'eval' ? [event.evalLoss] : [])) // biome-ignore format: short
    expect(losses(events)).toEqual(losses(without.events))
  })

  it('goes on, warned, where a prompt can’t be answered', async () => {
    const { events } = await run('too-long', file('long.txt', `${texts.join(' ').repeat(5)}\n`))
    const warned = events.flatMap((event) => (event.type === 'warning' ? [event.message] : []))
    expect(warned.filter((message) => /not answered at step \d: .*positions/.test(message))).toHaveLength(3)
    expect(events.at(-1)).toMatchObject({ type: 'end', finished: true, step: 8 })
  })

  it('shows a prompt and its answer in a line of a terminal', () => {
    let out = ''
    const stream = { write: (text: string) => void (out += text), isTTY: false, columns: 80 }
    const tracker = terminal(stream, stream)
    tracker.log({ type: 'answers', step: 4, epoch: 1, answers: [{ prompt: 'a\nb', answer: `\x1b[31m${'x'.repeat(300)}`, ending: 'end' }] })
    expect(out).toBe(`  a b → [31m${'x'.repeat(196)}…\n`)
  })
})

describe('files of prompts', () => {
  const messages = [{ role: 'user', content: 'What is a falcon?' }]
  it('are texts, or rows with text, prompt or messages', () => {
    expect(readEvalPrompts(file('a.txt', 'one\r\n\n two \n'))).toEqual(['one', ' two '])
    expect(readEvalPrompts(file('a.jsonl', `{"text":"one"}\n"two"\n{"prompt":"three"}\n`))).toEqual(['one', 'two', 'three'])
    // the last answer is what is asked for
    const rows = [{ messages }, { messages: [...messages, { role: 'assistant', content: 'A bird.' }] }, { prompt: messages }]
    expect(readEvalPrompts(file('a.json', JSON.stringify(rows)))).toEqual([messages, messages, messages])
  })

  it.each([
    ['none.txt', null, /evalPrompts.*none\.txt/],
    ['empty.txt', '\n \n', /evalPrompts .*empty\.txt: there is no prompt in it/],
    [
      'row.jsonl',
      '{"text":"one"}\n{"question":"two"}\n',
      /line 2 is an object: expected a text, or a row whose messages, or prompt, or text/,
    ],
    ['bad.jsonl', '{"text":\n', /bad\.jsonl/],
    ['one.json', '{"text":"one"}', /a \.json file of prompts is a list of rows/],
  ] as const)('%s is refused', (name, text, why) => {
    const path = text === null ? join(work, name) : file(name, text)
    expect(() => readEvalPrompts(path)).toThrow(why)
  })

  it('are refused before anything is prepared, without an evaluation and for a model that can’t be asked', async () => {
    const { model } = await FastLanguageModel.fromPretrained(join(fixture, 'model'), { device: 'cpu', dtype: 'float32', loadIn4bit: false }) // biome-ignore format: short
    const rows = await loadDataset(join(fixture, 'train.jsonl'))
    const path = file('b.txt', 'one\n')
    try {
      const make = (args: object, asked: object = model) =>
        new SFTTrainer({ model: asked as never, processingClass: model.tokenizer, trainDataset: rows, evalDataset: rows, args })
      expect(() => make({ evalStrategy: 'steps', evalSteps: 1, evalPrompts: join(work, 'none') })).toThrow(/evalPrompts/)
      expect(() => make({ evalStrategy: 'steps', evalSteps: 1, evalPrompts: path }, { language: model.language })).toThrow(/can’t be asked/)
      const { notes } = new SFTTrainer({ model, trainDataset: rows, args: { evalPrompts: path } })
      expect(notes.join()).toMatch(/evalPrompts has no effect/)
    } finally {
      await model.dispose()
    }
  })
})
