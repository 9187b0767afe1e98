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
import { Tokenizer } from '../../src/text/tokenizer.ts'
import { writeTinyModel } from '../cli/tiny-model.ts'
import { asked, CONVERSATIONS, GENERATION, SPECIAL, TEMPLATES } from './chat-templates.ts'
import { ollama } from './go.ts'

describe.each(Object.entries(TEMPLATES))('%s', (_, { source, place }) => {
  const template = new ChatTemplate(source)
  const render = (messages: readonly Message[], addGenerationPrompt: boolean) =>
    template.render(messages, SPECIAL, { addGenerationPrompt }).text
  it('is said in Go', () => {
    const turns = turnsOf(render)!
    expect(turns.place).toBe(place)
    const go = goTemplate(turns)!
    expect(asked(place).length).toBeGreaterThan(3)
    for (const messages of asked(place)) expect(ollama(go, messages)).toBe(render(messages, true))
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

  it.each(Object.entries(TEMPLATES))('Ollama itself: %s', async (name, { source, place }) => {
    const { ollama: version, files } = JSON.parse(readFileSync(join(import.meta.dirname, '../fixtures/ollama/rendered.json'), 'utf8'))
    expect(version).toMatch(/^0\.\d+\.\d+$/)
    const { modelfile, shown, rendered } = files[name]
    writeFileSync(at('model/generation_config.json'), JSON.stringify(GENERATION))
    await saved('recorded', ['f16'], { chatTemplate: source })
    expect(readFileSync(at('recorded/Modelfile'), 'utf8')).toBe(modelfile) // else record it anew: tools/oracle/ollama.ts
    expect(shown.template).toBe(/TEMPLATE """([\s\S]*)"""/.exec(modelfile)![1])
    const said = [...modelfile.matchAll(/^PARAMETER (\S+) (.*)$/gm)].map(([, key, value]) => `${key} ${value}`)
    expect(
      shown.parameters
        .split('\n')
        .map((line: string) => line.replace(/ {2,}/, ' '))
        .sort(),
    ).toEqual(said.sort())
    const template = new ChatTemplate(source)
    const inFile = openCheckpoint(join(at('recorded'), 'recorded.F16.gguf')).tokenizer!
    const tokenizer = new Tokenizer(inFile, { modelType: 'llama' })
    const special = { bos_token: '', eos_token: '</s>' } // the tiny model's
    const texts = asked(place).map((messages) => template.render(messages, special, { addGenerationPrompt: true }).text)
    expect(rendered.map(({ text }: { text: string }) => text)).toEqual(texts)
    expect(rendered.map(({ tokens }: { tokens: number }) => tokens)).toEqual(texts.map((text) => tokenizer.encode(text).length))
  })

  it('a template that can’t be said is left out, and told in the file', async () => {
    await saved('unsaid', ['f16'], { chatTemplate: '{% for m in messages %}{{ loop.index }}{{ m.content }}{% endfor %}' })
    const text = readFileSync(at('unsaid/Modelfile'), 'utf8')
    expect(text).not.toContain('TEMPLATE """')
    expect(text).toContain('# no TEMPLATE: Ollama takes the one it knows that is nearest')
  })
})
