import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { keepBack, questionsOf, toDataset } from '../../src/cli/quickstart/questions.ts'
import { generate } from '../../src/cli/verbs/generate.ts'
import { quickstart } from '../../src/cli/verbs/quickstart.ts'
import { Dataset } from '../../src/data/dataset.ts'
import { commandLine } from './saqr.ts'
import { writeTinyModel } from './tiny-model.ts'

describe('questions', () => {
  it('come out of every shape that has answers', () => {
    const said = [
      { role: 'user', content: 'q' },
      { role: 'assistant', content: 'a' },
    ]
    expect(questionsOf(new Dataset([{ prompt: 'q', completion: 'a' }]))).toEqual([{ prompt: 'q', answer: 'a' }])
    expect(questionsOf(new Dataset([{ messages: said }]))).toEqual([{ prompt: [said[0]], answer: 'a' }])
    expect(
      questionsOf(
        new Dataset([
          {
            conversations: [
              { from: 'human', value: 'q' },
              { from: 'gpt', value: 'a' },
            ],
          },
        ]),
      ),
    ).toEqual([{ prompt: [said[0]], answer: 'a' }])
    const [alpaca] = questionsOf(new Dataset([{ instruction: 'do', input: '', output: 'a' }]))
    expect(alpaca!.prompt).toContain('### Instruction:\ndo\n')
    expect(() => questionsOf(new Dataset([{ text: 'x' }]))).toThrow(/have no answer to examine/)
    expect(() => questionsOf(new Dataset([{ messages: said.slice(0, 1) }]))).toThrow(/must be the assistant/)
  })

  it('kept back have answers that no training row gives', () => {
    const all = Array.from({ length: 50 }, (_, i) => ({ prompt: `q${i}`, answer: `a${i % 45}` }))
    const { train, test } = keepBack(all, 8)
    expect([train.length, test.length]).toEqual([42, 8])
    const answers = new Set(train.map((q) => q.answer))
    expect(test.some((q) => answers.has(q.answer))).toBe(false)
    expect(() => keepBack(all.slice(0, 3), 8)).toThrow(/too few/)
    expect(toDataset(test, 'rows').rows[0]).toEqual({ prompt: test[0]!.prompt, completion: test[0]!.answer })
  })
})

describe('saqr quickstart', () => {
  let folder = ''
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'saqr-quickstart-'))
    await writeTinyModel(join(folder, 'model'))
    const rows = Array.from({ length: 40 }, (_, i) => `${JSON.stringify({ prompt: `double ${i}: `, completion: `${2 * i}` })}\n`)
    writeFileSync(join(folder, 'rows.jsonl'), rows.join(''))
  })
  afterAll(() => rmSync(folder, { recursive: true }))

  it('that can not keep what it trains says so before it asks anything', async () => {
    const taken = join(folder, 'taken')
    writeFileSync(taken, 'a file')
    const args = ['--model', join(folder, 'model'), '--dataset', join(folder, 'rows.jsonl'), '--questions', '5', '--device', 'cpu']
    const { code, out, err } = await commandLine({ quickstart })('quickstart', ...args, '--output_dir', taken)
    expect([code, out]).toEqual([1, ''])
    expect(err).toMatch(/^error FORMAT_\w+: .*taken/)
  })

  it('runs on any model and rows: before, training, curve, after, files, next step', async () => {
    const out = join(folder, 'out')
    const saqr = commandLine({ quickstart })
    const args = [
      '--model',
      join(folder, 'model'),
      '--dataset',
      join(folder, 'rows.jsonl'),
      '--questions',
      '5',
      '--device',
      'cpu',
      '--output_dir',
      out,
    ]
    const { code, out: text } = await saqr('quickstart', ...args, '--num_train_epochs', '4')
    expect(code).toBe(0)
    expect(text).toMatch(/^before training, 5 questions/)
    expect(text).toMatch(/asked {3}double 35:\n {2}wanted {2}70\n {2}said/)
    expect(text).toMatch(/[⠁-⣿]/)
    expect(text).toMatch(/answered word for word: \d+ of 5 before, \d+ of 5 after/)
    expect(text).toMatch(/npx saqr sft --model_name_or_path HuggingFaceTB\/SmolLM2-135M-Instruct .*\n.*--output_dir smollm2\n/)
    // asked without the space that ends every prompt here: it comes by itself
    const [, command] = /\n {2}npx saqr (generate .*)\n$/.exec(text) ?? []
    expect(command).toBe(`generate --model_name_or_path ${out}/merged "double 35:"`)
    expect(JSON.parse(readFileSync(join(out, 'merged/saqr.json'), 'utf8'))).toMatchObject({ prompt: { form: 'plain', end: ' ' } })
    const ask = (prompt: string, ...more: string[]) =>
      commandLine({ generate })(
        'generate',
        '--model_name_or_path',
        `${out}/merged`,
        '--max_new_tokens',
        '8',
        '--device',
        'cpu',
        ...more,
        prompt,
      )
    const right = (await ask('double 35: ', '--no_chat')).out
    expect((await ask('double 35:')).out).toBe(right)
    expect((await ask('double 35: ')).out).toBe(right)
    for (const file of ['adapter/adapter_model.safetensors', 'adapter/tokenizer.json', 'merged/model.safetensors', 'merged/config.json'])
      expect(existsSync(join(out, file)), file).toBe(true)
    expect(readFileSync(join(out, 'loss.svg'), 'utf8')).toMatch(/^<svg[\s\S]*<polyline[\s\S]*<\/svg>\n$/)
  })
})
