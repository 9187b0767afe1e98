/** Modelfiles say what the chat template writes: each rendered as Ollama does, over conversations, beside the template itself. */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { alpacaPrompt } from '../../src/data/alpaca.ts'
import { goTemplate, turnsOf } from '../../src/export/go-template.ts'
import { FastLanguageModel } from '../../src/index.ts'
import { openCheckpoint } from '../../src/models/checkpoint.ts'
import { ChatTemplate, type Message } from '../../src/text/chat-template.ts'
import { writeTinyModel } from '../cli/tiny-model.ts'
import { ollama } from './go.ts'

const RAISE = "{{ raise_exception('no system message') }}"
/** in the ways of models that there are, written for this test */
const TEMPLATES: Record<string, { source: string; place: string }> = {
  chatml: {
    place: 'before',
    source: `{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}`,
  },
  'chatml with a system message of its own': {
    place: 'before',
    source: `{% if messages[0].role != 'system' %}<|im_start|>system\nYou are a bird.<|im_end|>\n{% endif %}{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}`,
  },
  'headers, the first text trimmed': {
    place: 'before',
    source: `{{ bos_token }}{% for m in messages %}<|start_header_id|>{{ m.role }}<|end_header_id|>\n\n{{ m.content | trim }}<|eot_id|>{% endfor %}{% if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>\n\n{% endif %}`,
  },
  'the system message in the first turn': {
    place: 'first',
    source: `{{ bos_token }}{% set ns = namespace(pre='') %}{% if messages[0].role == 'system' %}{% set ns.pre = messages[0].content + '\n\n' %}{% set messages = messages[1:] %}{% endif %}{% for m in messages %}<start_of_turn>{{ 'model' if m.role == 'assistant' else m.role }}\n{{ ns.pre if loop.first }}{{ m.content | trim }}<end_of_turn>\n{% endfor %}{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}`,
  },
  'the system message in the last turn': {
    place: 'last',
    source: `{{ bos_token }}{% set ns = namespace(sys='') %}{% if messages[0].role == 'system' %}{% set ns.sys = messages[0].content %}{% set messages = messages[1:] %}{% endif %}{% for m in messages %}{% if m.role == 'user' %}[INST] {{ ns.sys + '\n\n' if loop.last and ns.sys }}{{ m.content }}[/INST]{% else %} {{ m.content }}{{ eos_token }}{% endif %}{% endfor %}`,
  },
  'no system message': {
    place: 'nowhere',
    source: `{% for m in messages %}{% if m.role == 'system' %}${RAISE}{% endif %}<|{{ m.role }}|>\n{{ m.content }}<|end|>\n{% endfor %}{% if add_generation_prompt %}<|assistant|>\n{% else %}{{ eos_token }}{% endif %}`,
  },
}
const CONVERSATIONS: Message[][] = [1, 2, 3, 4].flatMap((turns) =>
  [[], [{ role: 'system', content: 'Be {brief}.\n\nBe kind.' }]].map((before) => [
    ...before,
    ...Array.from({ length: 2 * turns - 1 }, (_, i) => ({
      role: i % 2 ? 'assistant' : 'user',
      content: ['Hi "there" 🦅', 'a\n\n  b', '</x> 3', 'وعليكم السلام', 'x'][(i + turns) % 5]!,
    })),
  ]),
)
const SPECIAL = { bos_token: '<s>', eos_token: '</s>' }

describe.each(Object.entries(TEMPLATES))('%s', (_, { source, place }) => {
  const template = new ChatTemplate(source)
  const render = (messages: readonly Message[], addGenerationPrompt: boolean) =>
    template.render(messages, SPECIAL, { addGenerationPrompt }).text
  it('is said in Go', () => {
    const turns = turnsOf(render)!
    expect(turns.place).toBe(place)
    const go = goTemplate(turns)!
    const asked = CONVERSATIONS.filter((messages) => place !== 'nowhere' || messages[0]!.role !== 'system')
    expect(asked.length).toBeGreaterThan(3)
    for (const messages of asked) expect(ollama(go, messages)).toBe(render(messages, true))
  })
})

it.each([
  ['counts turns', `{% for m in messages %}{{ loop.index }}: {{ m.content }}\n{% endfor %}`],
  ['changes what is said', `{% for m in messages %}[{{ m.content | upper }}]{% endfor %}`],
  [
    'treats long conversations otherwise',
    `{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}{% if messages | length > 3 %}!{% endif %}`,
  ],
  ['has Go’s marks in it', `{% for m in messages %}{{ '{{' }}{{ m.role }}}} {{ m.content }}\n{% endfor %}`],
])('a template that %s is not said', (_, source) => {
  const template = new ChatTemplate(source)
  const turns = turnsOf((messages, addGenerationPrompt) => template.render(messages, SPECIAL, { addGenerationPrompt }).text)
  expect(turns && goTemplate(turns)).toBe(null)
})

describe('beside GGUF files', () => {
  const folder = mkdtempSync(join(tmpdir(), 'saqr-modelfile-'))
  const at = (name: string) => join(folder, name)
  beforeAll(() => writeTinyModel(at('model')))
  afterAll(() => rmSync(folder, { recursive: true }))
  const saved = async (name: string, types: ('f16' | 'q8_0')[], options: object = {}, form: object | null = null) => {
    mkdirSync(at('with'), { recursive: true })
    const { model } = await FastLanguageModel.fromPretrained(at('model'), { device: 'cpu', loadIn4bit: false, ...options })
    model.language.promptForm = form as never
    await model.savePretrainedGguf(at(name), { quantizationMethod: types, check: false })
    await model.dispose()
    return readdirSync(at(name)).filter((file) => file.startsWith('Modelfile'))
  }

  it('says file, template, stop words and how tokens are drawn', async () => {
    writeFileSync(
      at('model/generation_config.json'),
      JSON.stringify({ do_sample: true, temperature: 0.6, top_p: 0.9, top_k: 20, eos_token_id: [2] }),
    )
    expect(await saved('one', ['q8_0'], { chatTemplate: TEMPLATES.chatml!.source })).toEqual(['Modelfile'])
    const text = readFileSync(at('one/Modelfile'), 'utf8')
    expect(text).toMatch(
      /^# ollama create NAME -f Modelfile\nFROM \.\/one\.Q8_0\.gguf\nTEMPLATE """\{\{ if \.System \}\}<\|im_start\|>system\n/,
    )
    expect(text).toMatch(/PARAMETER stop ".+"\n/)
    expect(text).toMatch(/\nPARAMETER temperature 0.6\nPARAMETER top_k 20\nPARAMETER top_p 0.9\nPARAMETER repeat_penalty 1\n$/)
    expect(await saved('two', ['f16', 'q8_0'])).toEqual(['Modelfile.F16', 'Modelfile.Q8_0'])
  })

  it.each([
    [{}, ['repeat_penalty 1']],
    [{ do_sample: false, temperature: 0.6 }, ['temperature 0', 'repeat_penalty 1']],
    [{ do_sample: true, top_k: 64, repetition_penalty: 1.05 }, ['temperature 1', 'top_k 64', 'top_p 1', 'repeat_penalty 1.05']],
    [{ temperature: 0.7, min_p: 0.1 }, ['temperature 0.7', 'min_p 0.1', 'repeat_penalty 1']],
  ])('%j is drawn as transformers draws, whatever Ollama is used to: %j', async (said, parameters) => {
    writeFileSync(at('model/generation_config.json'), JSON.stringify({ ...said, eos_token_id: [2] }))
    await saved('drawn', ['f16'], { chatTemplate: TEMPLATES.chatml!.source })
    const lines = readFileSync(at('drawn/Modelfile'), 'utf8').split('\n')
    const found = lines.filter((line) => line.startsWith('PARAMETER ') && !line.startsWith('PARAMETER stop'))
    expect(found).toEqual(parameters.map((one) => `PARAMETER ${one}`))
  })

  it.each([
    ['alpaca', { form: 'alpaca' }, alpacaPrompt('Name a bird.', '')],
    ['plain', { form: 'plain', end: '' }, 'Name a bird.'],
    ['ended', { form: 'plain', end: ' =>\n' }, 'Name a bird. =>\n'],
  ] as const)('%s: file and Modelfile ask as the model was trained, the base’s template has a name', async (name, form, asked) => {
    await saved(name, ['f16'], { chatTemplate: TEMPLATES.chatml!.source }, form)
    const { tokenizer } = openCheckpoint(join(at(name), `${name}.F16.gguf`))
    expect(tokenizer!.chatTemplates).toEqual({ base: TEMPLATES.chatml!.source })
    const template = new ChatTemplate(tokenizer!.chatTemplate!)
    const render = (messages: readonly Message[]) => template.render(messages, SPECIAL, { addGenerationPrompt: true }).text
    const question = [{ role: 'user', content: 'Name a bird.' }]
    expect(render(question)).toBe(asked)
    const answered = [...question, { role: 'assistant', content: 'A kite.' }]
    expect(render([...answered, ...question])).toBe(`${asked}A kite.</s>${asked}`)
    expect(render([{ role: 'system', content: 'Be brief.' }, ...question])).toBe(asked.replace('Name', 'Be brief.\n\nName'))
    expect(() => render([...answered, { role: 'tool', content: '{}' }])).toThrow('this model was trained without messages of tool')
    const modelfile = readFileSync(join(at(name), 'Modelfile'), 'utf8')
    const go = /TEMPLATE """([\s\S]*)"""/.exec(modelfile)![1]!
    for (const messages of CONVERSATIONS) expect(ollama(go, messages)).toBe(render(messages))
    expect(modelfile).toContain('PARAMETER stop "</s>"')
  })

  it('what is told of it, of files and of a merged folder, which keeps the template', async () => {
    const options = { device: 'cpu', loadIn4bit: false, chatTemplate: TEMPLATES.chatml!.source } as const
    const { model } = await FastLanguageModel.fromPretrained(at('model'), options)
    const said = async () => {
      const [file] = await model.savePretrainedGguf(at('told.gguf'), { quantizationMethod: 'f16', check: false })
      const merged = await model.savePretrainedMerged(at('told'), { check: false })
      return [...file!.notes, ...merged!.notes]
    }
    expect(await said()).toEqual([])
    model.language.promptForm = { form: 'alpaca' }
    expect(await said()).toEqual([
      expect.stringContaining('the file’s template asks it as it was trained (the base’s is its tokenizer.chat_template.base)'),
      expect.stringContaining('who asks by the template (vLLM) does not'),
    ])
    await model.dispose()
  })

  it('a template that can’t be said is left out, and told in the file', async () => {
    await saved('unsaid', ['f16'], { chatTemplate: '{% for m in messages %}{{ loop.index }}{{ m.content }}{% endfor %}' })
    const text = readFileSync(at('unsaid/Modelfile'), 'utf8')
    expect(text).not.toContain('TEMPLATE """')
    expect(text).toContain('# no TEMPLATE: Ollama takes the one it knows that is nearest')
  })
})
