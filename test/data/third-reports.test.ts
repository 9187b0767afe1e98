/** A third ten of rows that people reported other tools to stumble over: what each is here. Named by the project and the number of its issue. */
import { expect, it } from 'vitest'
import { Dataset } from '../../src/data/dataset.ts'
import type { Example } from '../../src/data/example.ts'
import { type PrepareOptions, prepare } from '../../src/data/prepare.ts'
import { type AnswerOptions, prepareAnswers } from '../../src/data/prepare-answers.ts'
import type { Row } from '../../src/data/rows.ts'
import { Tokenizer } from '../../src/text/tokenizer.ts'
import { filesOf, tokenizerOf } from '../text/fixtures.ts'
import { pairs, rated } from './as-trl.ts'

const chatml = tokenizerOf('smollm-like')
const prepared = (rows: readonly Row[], options: PrepareOptions = {}, tokenizer = chatml) => prepare(new Dataset(rows), tokenizer, options)
const answered = (rows: readonly Row[], options: Partial<AnswerOptions> = {}, as = pairs) =>
  prepareAnswers(new Dataset(rows), chatml, as, { maxLength: null, truncationMode: 'keep_start', ...options })
const learnedOf = ({ ids, targets }: Example, tokenizer = chatml) => tokenizer.decode([...ids].filter((_, i) => targets[i] === 1))
/** texts of a row's sequences: what asks, and what answers */
const sequencesOf = ({ ids, starts, prompts }: Example) =>
  prompts!.map((prompt, i) => {
    const own = [...ids.subarray(starts![i], starts![i + 1] ?? ids.length)]
    return [chatml.decode(own.slice(0, prompt)), chatml.decode(own.slice(prompt))]
  })

const turn = (role: string, content: string) => ({ role, content })
const said = (from: string, value: string) => ({ from, value })
const ask = [turn('user', 'ask')]

it('trl 1911: of three rated answers none is its own neighbour', async () => {
  // TRL's order: each beside the one before it, the first beside the last
  const rows = ['one', 'two', 'three'].map((completion, i) => ({ prompt: 'say:', completion: ` ${completion}`, label: i !== 1 }))
  const { examples } = await answered(rows, { neighbours: 3 }, rated)
  expect(examples.map((example) => sequencesOf(example).map(([, answer]) => answer))).toEqual([
    [' one<|im_end|>', ' three<|im_end|>'],
    [' two<|im_end|>', ' one<|im_end|>'],
    [' three<|im_end|>', ' two<|im_end|>'],
  ])
})

it('trl 1181: columns beside those of rated answers change nothing', async () => {
  const one = { prompt: 'ask ', completion: 'yes', label: true }
  const [own, others] = [await answered([one], {}, rated), await answered([{ ...one, kl: 0.5, source: ['a', 'b'] }], {}, rated)]
  expect(others.examples.map(sequencesOf)).toEqual(own.examples.map(sequencesOf))
})

it('trl 2423: a system prompt that both answers begin with is the prompt’s', async () => {
  const begun = [turn('system', 'Answer truthfully.'), turn('user', 'What color is the sky?')]
  const { examples } = await answered([{ chosen: [...begun, turn('assistant', 'It is blue.')], rejected: [...begun, turn('assistant', 'It is green.')] }]) // biome-ignore format: a row
  const prompt =
    '<|im_start|>system\nAnswer truthfully.<|im_end|>\n<|im_start|>user\nWhat color is the sky?<|im_end|>\n<|im_start|>assistant\n'
  expect(sequencesOf(examples[0]!)).toEqual([
    [prompt, 'It is blue.<|im_end|>\n'],
    [prompt, 'It is green.<|im_end|>\n'],
  ])
})

it('unsloth 1262, 1290: Mistral’s parts, each a single token', async () => {
  const chatTemplate =
    "{{ bos_token }}{% for m in messages %}{% if m.role == 'user' %}[INST] {{ m.content }}[/INST]{% else %} {{ m.content }}{{ eos_token }}{% endif %}{% endfor %}"
  const files = filesOf('smollm-like')
  const { added_tokens: added, model } = files.tokenizerJson as { added_tokens: { id: number }[]; model: { vocab: Record<string, number> } }
  const next = 1 + Math.max(...Object.values(model.vocab), ...added.map(({ id }) => id))
  const parts = ['[INST]', '[/INST]'].map((content, i) => ({ ...added[0]!, id: next + i, content, special: true }))
  const tokenizer = new Tokenizer({ ...files, tokenizerJson: { ...files.tokenizerJson, added_tokens: [...added, ...parts] } }, { modelType: 'llama', chatTemplate }) // biome-ignore format: files
  const rows = [{ messages: [...ask, turn('assistant', 'yes it is'), turn('user', 'more'), turn('assistant', 'no')] }]
  const { examples } = await prepared(rows, { responses: { instructionPart: '[INST]', responsePart: '[/INST]' } }, tokenizer)
  expect([...examples[0]!.ids].filter((id) => id === next || id === next + 1)).toEqual([next, next + 1, next, next + 1])
  expect(learnedOf(examples[0]!, tokenizer)).toBe(' yes it is<|im_end|> no<|im_end|>')
})

it('LlamaFactory 2529: glaive’s calls and what came back, in ShareGPT’s roles', async () => {
  const call = JSON.stringify({ name: 'rate', arguments: { from: 'USD' } })
  const conversations = [
    said('human', 'rate?'),
    said('function_call', call),
    said('observation', '{"rate": 0.8}'),
    said('gpt', 'It is 0.8.'),
  ]
  const chatTemplate = '{% for m in messages %}[{{ m.role }}|{{ m.content }}|{% for c in m.tool_calls %}{{ c.function.name }} {{ c.function.arguments }}{% endfor %}]{% endfor %}' // biome-ignore format: a template
  const tokenizer = tokenizerOf('smollm-like', { chatTemplate })
  const { examples } = await prepared([{ conversations, tools: '[]' }], {}, tokenizer)
  expect(tokenizer.decode([...examples[0]!.ids])).toMatch(
    /^\[user\|rate\?\|\]\[assistant\|.*\|rate .*USD.*\]\[tool\|\{"rate": 0\.8\}\|\]\[assistant\|It is 0\.8\.\|\]/,
  )
})

it('LlamaFactory 2962, 10178: one who speaks twice, and a conversation that the assistant begins', async () => {
  const conversations = [
    said('gpt', 'welcome'),
    said('human', 'hi'),
    said('human', 'are you there?'),
    said('gpt', 'yes'),
    said('gpt', 'here'),
  ]
  const { examples } = await prepared([{ conversations }], { assistantOnlyLoss: true })
  const text = chatml.decode([...examples[0]!.ids])
  expect(text.match(/<\|im_start\|>\w+\n[^<]*/g)!.map((one) => one.slice('<|im_start|>'.length).split('\n'))).toEqual(
    expect.arrayContaining([
      ['assistant', 'welcome'],
      ['user', 'hi'],
      ['user', 'are you there?'],
      ['assistant', 'yes'],
      ['assistant', 'here'],
    ]),
  )
  expect(learnedOf(examples[0]!)).toBe('welcome<|im_end|>yes<|im_end|>here<|im_end|>')
})

it('LlamaFactory 8947: OpenAI’s messages with a system prompt and a thought in the answer, in whichever column', async () => {
  const messages = [turn('system', 'be kind'), ...ask, turn('assistant', '<think>why</think>so')]
  const [one, other] = [await prepared([{ messages }]), await prepared([{ conversations: messages }])]
  expect(chatml.decode([...one.examples[0]!.ids])).toContain('<think>why</think>so')
  expect(other.examples.map(({ ids }) => [...ids])).toEqual(one.examples.map(({ ids }) => [...ids]))
})

it('LlamaFactory 7777, 9618: where no row is one, the first is named with what is wrong with it', async () => {
  await expect(prepared([{ conversations: [said('robot', 'hi'), said('human', 'ho')] }])).rejects.toMatchObject({
    code: expect.stringMatching(/^DATA_/),
    message: expect.stringMatching(/row 1.*robot/s),
  })
  await expect(prepared([{ messages: [] }])).rejects.toMatchObject({ message: expect.stringMatching(/row 1/) })
})
