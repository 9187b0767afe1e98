/**
 * What people reported of preference training in other tools (TRL, Axolotl, LLaMA-Factory, ms-swift), each tried here by the number of its report:
 * rows that are cut to nothing, answers that are certain, micro-batches of one kind, references, columns under other names.
 */
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { Dataset } from '../../src/data/dataset.ts'
import type { Row } from '../../src/data/rows.ts'
import { readTokenizerFiles } from '../../src/formats/tokenizer-files.ts'
import { Tokenizer } from '../../src/text/tokenizer.ts'
import { cpo } from '../../src/train/objectives/cpo.ts'
import { dpo } from '../../src/train/objectives/dpo.ts'
import { kto } from '../../src/train/objectives/kto.ts'
import type { Objective } from '../../src/train/objectives/objective.ts'
import { oddsRatio, orpo } from '../../src/train/objectives/orpo.ts'
import { pairLosses } from '../../src/train/objectives/pair-losses.ts'
import type { CpoOptions } from '../../src/train/options/cpo.ts'
import { cpoOptions } from '../../src/train/options/cpo.ts'
import type { DpoOptions } from '../../src/train/options/dpo.ts'
import { dpoOptions } from '../../src/train/options/dpo.ts'
import type { Fields } from '../../src/train/options/field.ts'
import type { KtoOptions } from '../../src/train/options/kto.ts'
import { ktoOptions } from '../../src/train/options/kto.ts'
import { checkKto } from '../../src/train/options/kto-rules.ts'
import type { OrpoOptions } from '../../src/train/options/orpo.ts'
import { orpoOptions } from '../../src/train/options/orpo.ts'
import { resolveObject } from '../../src/train/options/resolve.ts'

const tokenizer = new Tokenizer(readTokenizerFiles(join(import.meta.dirname, '../fixtures/preference-rows/tokenizer'))!)

const optionsOf = (fields: Fields, given: Readonly<Record<string, unknown>>) => resolveObject(fields, given).options as never
const objectives: Record<string, (given: Readonly<Record<string, unknown>>) => { objective: Objective; options: never }> = {
  dpo: (given) => ({ options: optionsOf(dpoOptions.fields, given), objective: dpo(optionsOf(dpoOptions.fields, given) as DpoOptions) }),
  kto: (given) => ({ options: optionsOf(ktoOptions.fields, given), objective: kto(optionsOf(ktoOptions.fields, given) as KtoOptions) }),
  orpo: (given) => ({
    options: optionsOf(orpoOptions.fields, given),
    objective: orpo(optionsOf(orpoOptions.fields, given) as OrpoOptions),
  }),
  cpo: (given) => ({ options: optionsOf(cpoOptions.fields, given), objective: cpo(optionsOf(cpoOptions.fields, given) as CpoOptions) }),
}

async function prepared(kind: string, rows: Row[], given: Readonly<Record<string, unknown>> = {}) {
  const { objective, options } = objectives[kind]!(given)
  return objective.prepare(new Dataset(rows, 'pairs.jsonl'), tokenizer, options, { evaluation: false })
}

/** tokens of each sequence's answer */
const answers = ({ examples }: Awaited<ReturnType<typeof prepared>>) =>
  examples.map(({ ids, starts, prompts }) => prompts!.map((prompt, i) => (starts![i + 1] ?? ids.length) - starts![i]! - prompt))

const words = (n: number) => Array.from({ length: n }, (_, i) => ` ${'abcdefgh'[i % 8]}`).join('')

describe('rows that a limit cuts', () => {
  it.each(['cpo', 'orpo', 'dpo'])('huggingface/trl#6548: a long answer does not empty the short one beside it (%s)', async (kind) => {
    const whole = await prepared(kind, [{ prompt: 'a', chosen: words(4), rejected: words(80) }], { maxLength: 1024 })
    const [[short, long]] = answers(whole) as [[number, number]]
    const cut = await prepared(kind, [{ prompt: 'a', chosen: words(4), rejected: words(80) }], { maxLength: 24 })
    const [[kept, rest]] = answers(cut) as [[number, number]]
    expect(kept).toBe(short)
    expect(rest).toBeLessThan(long)
    expect(rest).toBeGreaterThan(0)
  })

  it.each([
    ['huggingface/trl#5662', 'dpo', { lossType: ['sft'] }],
    ['huggingface/trl#1473', 'orpo', {}],
    ['huggingface/trl#6548', 'cpo', { lossType: 'simpo', cpoAlpha: 0 }],
  ])('%s: a prompt that fills the limit leaves its row out, and says so, instead of training on no number', async (_, kind, given) => {
    const rows = [
      { prompt: words(60), chosen: ' b', rejected: ' c' },
      { prompt: 'a', chosen: ' b', rejected: ' c' },
    ]
    const { examples, unused } = await prepared(kind, rows, { ...given, maxLength: 20 })
    expect(examples.map(({ row }) => row)).toEqual([2])
    expect(unused).toEqual([expect.stringMatching(/row 1: its prompt alone, \d+ tokens, fills the limit of 20/)])
  })

  it('huggingface/trl#3382: keep_end keeps the end of short answers too, whatever stands beside them', async () => {
    const rows = [{ prompt: words(40), chosen: ' b', rejected: words(60) }]
    const [[chosen, rejected]] = answers(await prepared('dpo', rows, { maxLength: 16, truncationMode: 'keep_end' })) as [[number, number]]
    const [[whole]] = answers(await prepared('dpo', rows, { maxLength: null })) as [[number]]
    expect([chosen, rejected]).toEqual([whole, 16])
  })
})

describe('huggingface/trl#1473: an answer that is certain', () => {
  /** −log σ(log odds(c) − log odds(r)) at c → 0: odds of p are p / (1 − p) */
  it('has a loss of 0 where it is the chosen one, and a slope that is a number', () => {
    const { loss, dChosen, dRejected } = oddsRatio(0, -1)
    expect(loss).toBeGreaterThanOrEqual(0)
    expect(loss).toBeLessThan(1e-7)
    // d loss / d c goes to −odds(r)
    expect(dChosen).toBeCloseTo(-Math.exp(-1) / (1 - Math.exp(-1)), 6)
    expect(Math.abs(dRejected)).toBeLessThan(1e-7)
  })
  it('has a finite loss where it is the rejected one', () => {
    const { loss, dChosen, dRejected } = oddsRatio(-1, 0)
    // log odds of 1 − 2^−25, less those of e^−1
    expect(loss).toBeCloseTo(25 * Math.LN2 - Math.log(Math.exp(-1) / (1 - Math.exp(-1))), 6)
    for (const d of [dChosen, dRejected]) expect(Number.isFinite(d)).toBe(true)
    expect(dRejected).toBeGreaterThan(0)
  })
  it('and what f32 can tell from 1 is as it was', () => {
    expect(oddsRatio(-6e-8, -1).logOdds).toBeCloseTo(Math.log(Math.exp(-6e-8) / -Math.expm1(-6e-8)) + Math.log(Math.E - 1), 6)
  })
})

describe('columns', () => {
  it('axolotl-ai-cloud/axolotl#2415: others beside the three are left unread, and named', async () => {
    const { examples, notes } = await prepared('dpo', [{ prompt: 'a', chosen: ' b', rejected: ' c', messages: [], id: 7 }])
    expect(examples).toHaveLength(1)
    expect(notes.join()).toMatch(/not read: .*id|not read: .*messages/)
  })
  it('hiyouga/LlamaFactory#4108: instruction, chosen and rejected are pairs', async () => {
    const { notes } = await prepared('dpo', [{ instruction: 'a', chosen: 'b', rejected: 'c' }])
    expect(notes[0]).toContain('Alpaca')
  })
  it('hiyouga/LlamaFactory#4720, axolotl-ai-cloud/axolotl#1417: answers under other names are asked for by name', async () => {
    const rows = [{ question: 'a', pos_answer: { answer: 'b' }, neg_answer: { answer: 'c' } }]
    await expect(prepared('dpo', rows)).rejects.toThrow(/has no column chosen; it has question, pos_answer, neg_answer/)
    await expect(prepared('dpo', [{ input: 'a', chosen: 'b', rejectd: 'c' }])).rejects.toThrow(/no column rejected.*is it rejectd\?/)
  })
  it('hiyouga/LlamaFactory#3264: roles written with a capital are known, and a conversation that both begin with is the prompt', async () => {
    const said = (last: string) => [
      ['Human', 'a'],
      ['Assistant', 'b'],
      ['Human', 'c'],
      ['Assistant', last],
    ].map(([role, content]) => ({ role, content })) // biome-ignore format: a conversation
    const plain = (last: string) => said(last).map(({ role, content }) => ({ role: role === 'Human' ? 'user' : 'assistant', content }))
    const [theirs, usual] = await Promise.all([said, plain].map((of) => prepared('dpo', [{ chosen: of('d'), rejected: of('e') }])))
    expect([...theirs!.examples[0]!.ids]).toEqual([...usual!.examples[0]!.ids])
    expect(theirs!.examples[0]!.prompts).toEqual(usual!.examples[0]!.prompts)
  })
})

describe('losses of a pair', () => {
  const settings = { beta: 0.1, labelSmoothing: 0, discopopTau: 0.05 }
  const one = { chosen: 1, rejected: 1 }

  // a margin of 6 at one token an answer: the figures of the report
  it.each([
    ['sigmoid', 0.437488, -0.035434],
    ['hinge', 0.4, -0.1],
    ['ipo', 1, 2],
  ] as const)('modelscope/ms-swift#10167: loss_type %s is the loss that is trained on', (type, loss, slope) => {
    const [value, dChosen, dRejected] = pairLosses[type].of(4, -2, settings, one)
    expect(value).toBeCloseTo(loss, 6)
    expect([dChosen, dRejected]).toEqual([expect.closeTo(slope, 6), expect.closeTo(-slope, 6)])
  })

  it('modelscope/ms-swift#9925: lengths are the matter of ipo alone, also beside another loss', () => {
    const lengths = { chosen: 8, rejected: 4 }
    expect(pairLosses.sigmoid.of(4, -2, settings, lengths)).toEqual(pairLosses.sigmoid.of(4, -2, settings, one))
    // means of 0.5 and −0.5, and τ = 5: (1 − 5)², each slope by its own length
    expect(pairLosses.ipo.of(4, -2, settings, lengths)).toEqual([16, -1, 2])
  })

  it('huggingface/trl#1581: a conversation that both answers begin with is no part of the mean', async () => {
    const said = (answer: string) => [
      { role: 'user', content: words(30) },
      { role: 'assistant', content: answer },
    ]
    const within = await prepared('dpo', [{ chosen: said('b'), rejected: said(words(9)) }], { lossType: 'ipo' })
    const apart = await prepared('dpo', [{ prompt: said('').slice(0, 1), chosen: said('b').slice(1), rejected: said(words(9)).slice(1) }])
    expect(answers(within)).toEqual(answers(apart))
    expect(answers(within)[0]![0]).toBeLessThan(10)
  })

  it('huggingface/trl#1033: an answer of nothing has a loss of ipo that is a number', () => {
    for (const value of pairLosses.ipo.of(0, -3, settings, { chosen: 1, rejected: 3 })) expect(Number.isFinite(value)).toBe(true)
  })

  it('huggingface/trl#1627: a beta of 0, with which nothing is learned, is refused by name', () => {
    expect(() => optionsOf(dpoOptions.fields, { beta: 0 })).toThrow(/beta/)
  })
})

describe('ends and beginnings', () => {
  it('unslothai/unsloth#3228: an answer that ends with the end token has it once', async () => {
    const [plain, ended] = await Promise.all([' b', ' b</s>'].map((chosen) => prepared('dpo', [{ prompt: 'a', chosen, rejected: ' c' }])))
    expect([...ended!.examples[0]!.ids]).toEqual([...plain!.examples[0]!.ids])
  })

  it('axolotl-ai-cloud/axolotl#1616, huggingface/trl#1401: what begins a text begins the prompt, and no answer', async () => {
    const { examples } = await prepared('dpo', [{ prompt: 'a', chosen: ' b', rejected: ' c' }])
    const { ids, starts } = examples[0]!
    // as often as there are sequences, and each time as the first token
    expect([...ids.keys()].filter((i) => ids[i] === tokenizer.bosId)).toEqual([...starts!])
  })
})

describe('rated answers', () => {
  it('hiyouga/LlamaFactory#3803: Alpaca rows that are not wanted are not', async () => {
    const rows = [true, false].map((label) => ({ instruction: 'a', output: 'b', label }))
    const { examples } = await prepared('kto', rows, { perDeviceTrainBatchSize: 2 })
    expect(examples.map(({ wanted }) => wanted)).toEqual([true, false])
  })
  it('huggingface/trl#1467: rows stay as many as they are, whatever their kinds', async () => {
    const rows = Array.from({ length: 10 }, (_, i) => ({ prompt: 'a', completion: ` ${'bcdefghijk'[i]}`, label: i < 8 }))
    const { examples } = await prepared('kto', rows, { perDeviceTrainBatchSize: 2 })
    expect(examples.filter(({ wanted }) => wanted)).toHaveLength(8)
    expect(examples).toHaveLength(10)
  })
  it('huggingface/trl#2554: micro-batches of one row, which have no other answer to measure by, are refused by name', () => {
    const options = optionsOf(ktoOptions.fields, { perDeviceTrainBatchSize: 1 }) as KtoOptions
    expect(() => checkKto(options)).toThrow(/micro-batches of 2 rows or more/)
    expect(() => checkKto({ ...options, lossType: 'apo_zero_unpaired' })).not.toThrow()
  })
  it('modelscope/ms-swift#4535: rows of messages that all say the same are answers like any other', async () => {
    const row = (label: boolean) => ({
      messages: [
        { role: 'user', content: 'a' },
        { role: 'assistant', content: 'no' },
      ],
      label,
    })
    const { examples } = await prepared('kto', [row(true), row(false)], { perDeviceTrainBatchSize: 2 })
    expect(examples.map(({ wanted }) => wanted)).toEqual([true, false])
  })
  it('huggingface/trl#1447: a micro-batch of one kind leaves the other kind’s metrics out', async () => {
    const rows = Array.from({ length: 4 }, (_, i) => ({ prompt: 'a', completion: ` ${'bcde'[i]}`, label: i < 3 }))
    const { objective } = objectives.kto!({ perDeviceTrainBatchSize: 2 })
    const { examples } = await prepared('kto', rows, { perDeviceTrainBatchSize: 2 })
    const laid = objective.layOut([examples.slice(0, 2), examples.slice(2)], { maxPassTokens: 256, prefixSharing: true, quantum: 16 })
    const count = (name: string) => objective.metrics.find((metric) => metric.name === name)!.count!(laid)
    expect([count('rewards/chosen'), count('rewards/rejected'), count('rewards/margins')]).toEqual([2, 1, 1])
  })
})
