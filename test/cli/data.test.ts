/** saqr data: what it says of rows is what sft would make of them. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { stripVTControlCharacters } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { tokenLines, visible } from '../../src/cli/token-lines.ts'
import { data } from '../../src/cli/verbs/data.ts'
import { dpo } from '../../src/cli/verbs/dpo.ts'
import { sft } from '../../src/cli/verbs/sft.ts'
import { ANEW } from '../../src/data/prepared-cache.ts'
import type { StartEvent } from '../../src/track/events.ts'
import { styleOf } from '../../src/track/style.ts'
import type { DataReport } from '../../src/train/data-report.ts'
import { commandLine } from './saqr.ts'
import { tinyRows, writeTinyModel } from './tiny-model.ts'

const saqr = commandLine({ data, dpo, sft })
let folder = ''
let model = ''
const file = (name: string, rows: readonly object[]) => {
  const path = join(folder, name)
  writeFileSync(path, rows.map((row) => `${JSON.stringify(row)}\n`).join(''))
  return path
}
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'saqr-data-'))
  model = join(folder, 'model')
  await writeTinyModel(model)
  writeFileSync(join(folder, 'train.jsonl'), tinyRows())
})
afterAll(() => rmSync(folder, { recursive: true }))

const rows = () => join(folder, 'train.jsonl')
async function reportOf(...args: string[]): Promise<DataReport> {
  const { code, out, err } = await saqr('data', ...args, '--json')
  expect([code, err]).toEqual([0, ''])
  return JSON.parse(out) as DataReport
}

describe('with a model', () => {
  it('counts what sft counts, for the same options', async () => {
    const options = ['--max_length', '40', '--per_device_train_batch_size', '3', '--gradient_accumulation_steps', '2', '--seed', '7']
    const { training, lengths } = await reportOf(rows(), '--model', model, ...options)
    const out = join(folder, 'run')
    const run = ['--model_name_or_path', model, '--dataset_name', rows(), '--device', 'cpu', '--no_bf16', '--max_steps', '1']
    expect((await saqr('sft', ...run, ...options, '--report_to', 'jsonl', '--output_dir', out)).code).toBe(0)
    const [start, ...events] = readFileSync(join(out, 'events.jsonl'), 'utf8')
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as StartEvent & { rows: number })
    expect(training!.tokens).toBe(start!.rowTokens)
    expect(training!.targets).toBe(start!.targets)
    expect(training!.tokens - training!.sharing.tokens).toBe(start!.computedTokens)
    expect(training!.step).toMatchObject({ batchSize: 3, microBatches: 2, perEpoch: 4, steps: 12, looked: 4 })
    expect(training!.step.rows).toEqual({ least: 2, median: 6, most: 6 })
    expect(events.length).toBeGreaterThan(0)
    // the tokenizer is one of bytes, and a text ends with one token more
    const texts = tinyRows()
      .trimEnd()
      .split('\n')
      .map((line) => (JSON.parse(line) as { text: string }).text.length + 1)
    expect(lengths!.total).toBe(texts.reduce((a, b) => a + b, 0))
    const over = texts.filter((n) => n > 40)
    expect(training!.cut).toEqual({ maxLength: 40, rows: over.length, of: 20, tokens: over.reduce((sum, n) => sum + n - 40, 0) })
  })

  it('shows rows as tokens whose texts are the rows, and which of them are learned', async () => {
    const path = file('pairs.jsonl', [
      { prompt: 'who waits? ', completion: 'the héron' },
      { prompt: 'and ', completion: 'the owl' },
    ])
    const { examples, shape, training } = await reportOf(path, '--model', model)
    expect(shape).toBe('prompt-completion')
    const tokens = examples.map((row) => ('tokens' in row ? row.tokens : []))
    expect(tokens.map((row) => row.map(({ text }) => text).join(''))).toEqual(['who waits? the héron</s>', 'and the owl</s>'])
    const learned = tokens.map((row) => row.filter(({ target }) => target))
    expect(learned.map((row) => row.map(({ text }) => text).join(''))).toEqual(['the héron</s>', 'the owl</s>'])
    expect(training!.targets).toBe(learned.flat().length)
    const page = (await saqr('data', path, '--model', model)).out
    expect(page).toContain('pairs.jsonl: 2 rows of prompt and completion\n')
    expect(page).toContain('w│h│o│ │w│a│i│t│s│?│ ⟦t│h│e│ │h││é│r│o│n│</s>⟧\n')
    expect(page).toContain('⟦learned⟧ not learned, tokens between │\n')
  })

  it('names duplicates and rows that teach nothing', async () => {
    const path = file('same.jsonl', [
      { prompt: 'a', completion: 'b', id: 1 },
      { prompt: 'a', completion: 'c', id: 2 },
      { prompt: 'a', completion: 'b', id: 3 },
      { prompt: 'a long question', completion: 'd', id: 4 },
    ])
    const { duplicates, idle, training } = await reportOf(path, '--model', model, '--max_length', '8')
    expect(duplicates).toEqual({ rows: 1, where: [`${path}, line 3: as ${path}, line 1`] })
    expect(idle.rows).toBe(1)
    expect(idle.where[0]).toContain(`${path}, line 4: no target is left`)
    expect(training!.cut).toMatchObject({ rows: 1 })
  })

  it('marks the lengths that are cut, and no others', async () => {
    const path = file(
      'lengths.jsonl',
      [...Array.from({ length: 250 }, (_, i) => 10 + (i % 20)), 95, 99].map((n) => ({ text: 'x'.repeat(n) })),
    )
    const marked = async (limit: string) =>
      (await saqr('data', path, '--model', model, '--max_length', limit)).out.split('\n').filter((line) => /█.* cut$|▏.* cut$/.test(line))
    // texts end with one token more; the last bin takes all that is longer than most
    expect(await marked('100')).toEqual([])
    expect(await marked('97')).toEqual([expect.stringMatching(/and more .* 2 in part cut$/)])
    expect(await marked('28')).toEqual([
      expect.stringMatching(/28 to 29 .* in part cut$/),
      expect.stringMatching(/30 to 31 .* cut$/),
      expect.stringMatching(/and more .* 2 cut$/),
    ])
  })

  it('says what packs hold, and why rows share nothing', async () => {
    const packed = await reportOf(rows(), '--model', model, '--packing', '--max_length', '128', '--use_peft')
    const { packs, tokens, sharing, step } = packed.training!
    expect(packs).toMatchObject({ length: 128, filled: tokens / (packs!.packs * 128) })
    expect(packs!.packs).toBeLessThan(20)
    expect(sharing.off).toBe('lora_dropout is 0.05')
    expect(sharing.tokens).toBeGreaterThan(0)
    expect(step.computed).toEqual(step.tokens)
    // rows are shown as they go into the packs
    expect(packed.examples).toHaveLength(3)
    const noisy = await reportOf(rows(), '--model', model, '--neftune_noise_alpha', '5')
    expect(noisy.training!.sharing.off).toBe('neftune_noise_alpha is 5')
    const apart = await reportOf(rows(), '--model', model, '--no_prefix_sharing')
    expect(apart.training!.sharing.off).toBe('prefix_sharing is off')
    const still = await reportOf(rows(), '--model', model, '--use_peft', '--lora_dropout', '0', '--max_pass_tokens', '128')
    expect(still.training!.sharing).toMatchObject({ off: null })
    expect(still.training!.step.computed.most).toBeLessThan(still.training!.step.tokens.most)
    expect(still.training!.step.passes!.most).toBeGreaterThan(1)
  })

  it('mixes data sets in shares and keeps rows apart, as sft trains on them', async () => {
    const more = file('more.jsonl', [{ text: 'one' }, { text: 'two' }, { text: 'three' }])
    const yaml = join(folder, 'mix.yaml')
    writeFileSync(
      yaml,
      `datasets:\n  - path: ${rows()}\n    fraction: 3\n  - path: ${more}\n    fraction: 1\ntest_split_size: 0.25\neval_strategy: epoch\n`,
    )
    const report = await reportOf('--config', yaml, '--model', model)
    // three of the short ones, so nine of the others; a quarter is kept apart
    expect(report.rows).toBe(9)
    expect(report.training!.evaluation!.rows).toBe(3)
    const out = join(folder, 'mixed')
    const run = ['--config', yaml, '--model_name_or_path', model, '--device', 'cpu', '--no_bf16', '--max_steps', '1', '--eval_steps', '1']
    expect((await saqr('sft', ...run, '--report_to', 'jsonl', '--output_dir', out)).code).toBe(0)
    const start = JSON.parse(readFileSync(join(out, 'events.jsonl'), 'utf8').split('\n')[0]!) as StartEvent
    expect([start.rows, start.rowTokens]).toEqual([9, report.training!.tokens])
    // rows of a word take the place of the recipe's
    expect((await reportOf(more, '--config', yaml, '--eval_strategy', 'no')).rows).toBe(3)
    const json = JSON.stringify([{ path: more }])
    const flags = await saqr('data', '--datasets', json, '--dataset_name', rows())
    expect(flags.err).toBe('--dataset_name has no effect beside --datasets\n')
    expect(flags.out).toContain('3 rows of text')
    expect((await saqr('data', '--datasets', json, '--model', model, '--eval_strategy', 'epoch')).err).toContain(
      'keep some of --datasets apart with --test_split_size',
    )
  })

  it('shows answers found by what stands around them', async () => {
    const path = file('qa.jsonl', [{ text: 'Q:who? A:an owl. Q:and? A:a kite.' }])
    const { examples } = await reportOf(path, '--model', model, '--instruction_part', 'Q:', '--response_part', 'A:')
    const row = examples[0]!
    const learned = 'tokens' in row ? row.tokens.filter(({ target }) => target).map(({ text }) => text) : []
    expect(learned.join('')).toBe('an owl. a kite.</s>')
    const alone = await saqr('data', path, '--model', model, '--train_on_responses_only')
    expect(alone.err).toContain('error OPTION_INVALID: answers are found by')
    expect(alone.err).toContain('give both --instruction_part and --response_part')
    const twice = await saqr('data', path, '--instruction_part', 'Q:', '--response_part', 'A:', '--assistant_only_loss')
    expect(twice.err).toContain('--response_part and --assistant_only_loss each say what is learned')
  })

  it('gives the one error that sft gives', async () => {
    const chat = file('chat.jsonl', [{ messages: [{ role: 'user', content: 'x' }] }])
    const long = file('long.jsonl', [{ text: 'x'.repeat(400) }])
    const cases = [
      [chat, []],
      [long, ['--max_length', '1024']],
      [rows(), ['--packing', '--max_length', 'none']],
      [rows(), ['--assistant_only_loss']],
      [rows(), ['--per_device_train_batch_size', '32', '--dataloader_drop_last']],
      [rows(), ['--eval_strategy', 'epoch']],
      [join(folder, 'train.json'), []],
      [rows(), ['--load_in_4bit']],
    ] as const
    for (const [path, options] of cases) {
      const said = await saqr('data', path, '--model', model, ...options)
      const out = ['--output_dir', join(folder, 'never'), '--device', 'cpu']
      const trained = await saqr('sft', '--model_name_or_path', model, '--dataset_name', path, ...options, ...out)
      expect(said.code).toBe(1)
      const error = (err: string) => err.slice(err.indexOf('error ')).replace('--model_name_or_path', '--model')
      expect(error(said.err)).toBe(error(trained.err))
    }
  })
})

describe('pairs and rated answers', () => {
  const pairs = () =>
    file('chosen.jsonl', [
      { prompt: 'what do owls eat at night? ', chosen: 'mice', rejected: 'hay' },
      { prompt: 'and kites? ', chosen: 'mice too', rejected: 'wind' },
      { prompt: 'a long question without an end ', chosen: 'b', rejected: 'c' },
      { prompt: 'q', chosen: 'same', rejected: 'same' },
      { prompt: 'and kites? ', chosen: 'mice too', rejected: 'wind' },
    ])

  it('counts of pairs what dpo counts, answer by answer', async () => {
    const path = pairs()
    const options = ['--max_length', '31', '--per_device_train_batch_size', '2', '--beta', '0.3']
    const report = await reportOf(path, '--model', model, ...options)
    expect(report).toMatchObject({ trainer: 'dpo', shape: 'pairs', rows: 5, columns: ['prompt', 'chosen', 'rejected'] })
    const text = (part: (typeof report.examples)[number]) =>
      'tokens' in part ? [part.part, part.tokens.map(({ text, target }) => (target ? text : '·')).join('')] : []
    expect(report.examples.slice(0, 2).map(text)).toEqual([
      ['chosen', `${'·'.repeat(27)}mice`],
      ['rejected', `${'·'.repeat(27)}hay</s>`],
    ])
    expect(report.idle.where).toEqual([
      `${path}, line 3: its prompt alone, 31 tokens, fills the limit of 31`,
      `${path}, line 4: both answers have the same tokens`,
    ])
    expect(report.duplicates.where).toEqual([`${path}, line 5: as ${path}, line 2`])
    expect(report.training).toMatchObject({ cut: { maxLength: 31, rows: 2, of: 5, tokens: null }, beside: 0, step: { perEpoch: 2 } })
    expect(report.training!.sharing).toMatchObject({ off: null }) // dropout is off where answers are compared
    const out = join(folder, 'dpo-run')
    const run = ['--model_name_or_path', model, '--dataset_name', path, '--device', 'cpu', '--no_bf16', '--max_steps', '1', '--use_peft']
    expect((await saqr('dpo', ...run, ...options, '--report_to', 'jsonl', '--output_dir', out)).code).toBe(0)
    const start = JSON.parse(readFileSync(join(out, 'events.jsonl'), 'utf8').split('\n')[0]!) as StartEvent
    const { tokens, targets, sharing } = report.training!
    expect([tokens, targets, tokens - sharing.tokens]).toEqual([start.rowTokens, start.targets, start.computedTokens])
    const page = (await saqr('data', path, '--model', model, ...options)).out
    expect(page).toContain('5 rows of prompt, chosen and rejected\n  as saqr dpo would take them (--trainer names another)\n')
    expect(page).toContain(`${path}, line 1, rejected: 31 tokens, 4 learned\n`)
    // bytes of the prompt and the longer answer, and the end of a text; what is trained on counts both answers
    const { lengths, counted } = report
    expect([lengths!.total, counted]).toEqual([27 + 5 + (11 + 9) * 2 + 31 + 2 + 1 + 5, 'longer side'])
    expect(page).toContain(`  ${lengths!.total} tokens in the longer sides of all pairs: shortest 6,`)
    expect(page).toContain('  cut to --max_length 31: 2 rows (40%)\n')
  })

  it('shows them for another trainer that is named, with its options', async () => {
    const path = pairs()
    const orpo = await reportOf(path, '--model', model, '--trainer', 'orpo', '--max_length', 'none')
    expect(orpo).toMatchObject({ trainer: 'orpo', training: { cut: { maxLength: 512 } } })
    const kto = await reportOf(path, '--model', model, '--trainer', 'kto', '--per_device_train_batch_size', '2')
    expect(kto).toMatchObject({ trainer: 'kto', shape: 'rated', rows: 10 })
    expect(kto.examples[0]).toMatchObject({ part: 'wanted', where: `${path}, line 1` })
    // each is scored beside its neighbour's answer, which teaches nothing
    expect(kto.training!.beside).toBeGreaterThan(0)
    const alone = await reportOf(path, '--model', model, '--trainer', 'kto', '--loss_type', 'apo_zero_unpaired')
    expect([alone.training!.beside, alone.training!.tokens]).toEqual([0, kto.training!.tokens])
    const refused = await saqr('data', path, '--trainer', 'sft')
    expect(refused.err).toContain('holds preferences (chosen, rejected)')
    const wrong = await saqr('data', path, '--model', model, '--loss_type', 'robust')
    expect(wrong.err).toBe('')
    expect((await saqr('data', path, '--loss_type', 'robust', '--label_smoothing', '0.7')).err).toContain(
      '--label_smoothing 0.7: robust needs',
    )
    expect((await saqr('data', path, '--loss_type', 'simpo')).err).toContain('--loss_type: expected')
  })

  it('says the same of rows that stay on disk', async () => {
    const texts = Array.from({ length: 30 }, (_, i) => ({ prompt: `ask ${i % 7}: `, completion: i % 5 === 0 ? '' : `so ${i % 7}` }))
    const pairs = Array.from({ length: 9 }, (_, i) => ({ prompt: 'ask ', chosen: `so ${i % 4}`, rejected: i === 3 ? 'so 3' : 'no' }))
    for (const [name, rows] of [['texts', texts], ['pairs', pairs]] as const) // biome-ignore format: a table
      for (const more of [[], ['--model', model], ['--model', model, ...(name === 'texts' ? ['--packing', '--max_length', '24'] : [])]]) {
        const path = file(`${name}-on-disk.jsonl`, rows)
        const here = await reportOf(path, ...more)
        const streamed = await reportOf(path, ...more, '--dataset_streaming')
        // what is only said of those
        expect({ ...streamed, notes: streamed.notes.filter((note) => !note.endsWith(ANEW)) }).toEqual(here)
        expect(here.duplicates.rows).toBeGreaterThan(0)
        expect(here.duplicates.where).toHaveLength(Math.min(5, here.duplicates.rows))
      }
  })

  it('several files of several shapes, a page each', async () => {
    const rated = file('rated.jsonl', [
      { prompt: 'a', completion: 'b', label: true },
      { prompt: 'a', completion: 'c', label: false },
    ])
    const graded = file('graded.jsonl', [{ prompt: 'a', completion: 'b', label: 'fine' }])
    const { code, out, err } = await saqr('data', rows(), pairs(), rated, graded, '--json', '--desirable_weight', '2')
    expect(code).toBe(0)
    expect((JSON.parse(out) as DataReport[]).map(({ trainer, shape }) => [trainer, shape])).toEqual([
      ['sft', 'text'],
      ['dpo', 'pairs'],
      ['kto', 'rated'],
      ['sft', 'prompt-completion'],
    ])
    expect(err).toContain(`--desirable_weight has no effect on ${rows()}: sft has no such option\n`)
    expect(err).not.toContain(rated)
    // warnings name options as they are written here
    const three = file(
      'three.jsonl',
      [true, true, true, false].map((label) => ({ prompt: 'a', completion: 'b', label })),
    )
    expect((await saqr('data', three, '--model', model)).out).toContain('--desirable_weight would be between')
    const page = (await saqr('data', rated)).out
    expect(page).toContain(`${rated}, line 2\na\nnot wanted: c\n`)
  })
})

describe('without a model', () => {
  it('says what can be said: shape, characters, texts', async () => {
    const path = file('alpaca.jsonl', [
      { instruction: 'Name a bird.', input: '', output: 'Owl.' },
      { instruction: 'Another?', input: '', output: 'Kite.', score: 3 },
    ])
    const report = await reportOf(path)
    expect(report).toMatchObject({
      shape: 'alpaca',
      unit: 'characters',
      training: null,
      columns: ['instruction', 'input', 'output', 'score'],
    })
    expect(report.warnings[0]).toContain('the column score is not read')
    const page = (await saqr('data', path)).out
    expect(page).toContain('2 rows of instruction, input and output (Alpaca)')
    expect(page).toContain('name a model (--model)')
    expect(page).toContain('Owl.')
  })

  it('refuses what no model makes a row of', async () => {
    const pairs = file('half-pairs.jsonl', [{ prompt: 'a', chosen: 'b', rejects: 'c' }])
    const odd = file('odd.jsonl', [{ messages: 'no list' }])
    expect((await saqr('data', pairs)).err).toContain('error DATA_COLUMNS: ')
    expect((await saqr('data', odd)).err).toContain(`error DATA_ROW: ${odd}, line 1: messages must be a list of messages`)
    expect((await saqr('data')).err).toContain('saqr data needs rows')
    const half = file('half.jsonl', [{ text: 'a\ud800' }])
    expect((await saqr('data', half)).err).toContain(`error TEXT_NOT_UNICODE: ${half}, line 1`)
    // of token ids nothing can be said
    const ids = await reportOf(file('ids.jsonl', [{ input_ids: [65, 66] }]))
    expect(ids).toMatchObject({ shape: 'tokens', rows: 1, lengths: null, examples: [] })
    // the others of several are shown all the same
    const { code, out, err } = await saqr('data', pairs, rows(), odd, '--json')
    expect(code).toBe(1)
    expect(err.trimEnd().split('\n')).toHaveLength(2)
    const list = JSON.parse(out) as { source: string; error?: { code: string } }[]
    expect(list.map(({ error }) => error?.code)).toEqual(['DATA_COLUMNS', undefined, 'DATA_ROW'])
  })
})

describe('tokens on a terminal', () => {
  const pieces = (text: string, learned: (i: number) => boolean) => Array.from(text, (c, i) => ({ id: i, text: c, target: learned(i) }))
  const plain = styleOf({ write() {}, isTTY: false, columns: 80 })
  const colours = styleOf({ write() {}, isTTY: true, color: true, columns: 80 })

  it('say by colour alone, or by signs alone, what is learned', () => {
    const row = pieces('ab\ncd', (i) => i > 1)
    expect(tokenLines(row, plain, false)).toEqual(['a│b⟦⏎', 'c│d⟧'])
    const lines = tokenLines(row, colours, true)
    expect(lines.map((line) => stripVTControlCharacters(line))).toEqual(['ab⏎', 'cd'])
    expect(lines[1]).toContain('\x1b[32m')
    // no colour runs on over the end of a line
    for (const line of lines) expect(line.endsWith('m')).toBe(true)
  })

  it('leave out long stretches, and say how many and whether they are learned', () => {
    const [line] = tokenLines(
      pieces('x'.repeat(500), (i) => i >= 250),
      plain,
      false,
    )
    expect(line).toContain(' … 190 tokens, none learned … ')
    expect(line).toContain(' … 190 tokens, all learned … ')
    expect(line!.split('x').length - 1).toBe(120)
  })

  it('can’t be steered by what rows hold', () => {
    expect(visible('\x1b[2J a\tb\r\n\x9b\u202e')).toBe('␛[2J a\tb␍⏎\n<009b><202e>')
  })
})
