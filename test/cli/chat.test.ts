/** A conversation: in a program, and typed line by line. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PassThrough, Readable } from 'node:stream'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { chat } from '../../src/cli/verbs/chat.ts'
import { OpenedModel } from '../../src/engine/opened-model.ts'
import { FastLanguageModel, type PretrainedModel } from '../../src/index.ts'
import { commandLine } from './saqr.ts'
import { writeTinyModel } from './tiny-model.ts'

const TEMPLATE =
  "{% for m in messages %}<{{ m['role'] }}>{{ m['content'] }}\n{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}"

const folder = mkdtempSync(join(tmpdir(), 'saqr-chat-'))
const base = join(folder, 'model')
const adapter = join(folder, 'adapter')
let model: PretrainedModel
beforeAll(async () => {
  await writeTinyModel(base)
  writeFileSync(join(base, 'chat_template.jinja'), TEMPLATE)
  const opened = await FastLanguageModel.fromPretrained(base, { device: 'cpu', loadIn4bit: false, dtype: 'float32' })
  model = FastLanguageModel.getPeftModel(opened.model, { r: 4 })
  // an adapter that says something else than its base
  const { trainables } = model.language
  for (const name of trainables.names.filter((name) => name.includes('lora_B')))
    trainables.set(name, new Float32Array(trainables.get(name).length).fill(0.5))
  await model.savePretrained(adapter)
})
afterAll(async () => {
  await model.dispose()
  rmSync(folder, { recursive: true })
})

async function read(pieces: AsyncIterable<string>): Promise<string> {
  let text = ''
  for await (const piece of pieces) text += piece
  return text
}

describe('in a program', () => {
  it('keeps what was said, there and on the device', async () => {
    const talk = model.chat({ maxNewTokens: 5, system: 'be brief' })
    const first = await read(talk.send('one'))
    const run = vi.spyOn(model.language.opened.device, 'run')
    const second = await read(talk.send('two'))
    const [, inputs] = run.mock.calls[0]!
    run.mockRestore()
    expect(talk.messages).toEqual([
      { role: 'system', content: 'be brief' },
      { role: 'user', content: 'one' },
      { role: 'assistant', content: first },
      { role: 'user', content: 'two' },
      { role: 'assistant', content: second },
    ])
    const position = inputs.position as Int32Array
    // the first turn: "<system>be brief\n<user>one\n<assistant>", a token a byte; where the answer's bytes are text, it is not read again either
    expect(position[0]).toBeGreaterThanOrEqual('<system>be brief\n<user>one\n<assistant>'.length)
    expect(second).toBe(await read(model.generate(talk.messages.slice(0, -1), { maxNewTokens: 5 })))
    talk.reset()
    expect(talk.messages).toEqual([{ role: 'system', content: 'be brief' }])
    talk.dispose()
    await expect(talk.send('x').next()).rejects.toMatchObject({ code: 'MODEL_DISPOSED' })
  })

  it('lets adapter and base speak', async () => {
    const talk = model.chat({ maxNewTokens: 8 })
    const own = await read(talk.send('one'))
    expect(talk.adapter).toBe(true)
    talk.reset()
    talk.adapter = false
    const without = await read(talk.send('one'))
    expect(without).not.toBe(own)
    expect(without).toBe(await read(model.generate([{ role: 'user', content: 'one' }], { maxNewTokens: 8, adapter: false })))
    talk.reset()
    talk.adapter = true
    expect(await read(talk.send('one'))).toBe(own)
    talk.dispose()
  })

  it('an answer that is stopped stays as far as it came; one that never began is forgotten', async () => {
    const talk = model.chat({ maxNewTokens: 50 })
    const stop = new AbortController()
    let heard = ''
    const answer = (async () => {
      for await (const piece of talk.send('one', stop.signal)) {
        heard += piece
        stop.abort()
      }
    })()
    await expect(answer).rejects.toThrow()
    expect(talk.messages).toEqual([
      { role: 'user', content: 'one' },
      { role: 'assistant', content: heard },
    ])
    await expect(talk.send('two', AbortSignal.abort()).next()).rejects.toThrow()
    expect(talk.messages).toHaveLength(2)
    const first = talk.send('three')
    await first.next()
    await expect(talk.send('four').next()).rejects.toMatchObject({ code: 'CHAT_BUSY' })
    await first.return('end')
    expect(talk.messages).toHaveLength(4)
    talk.dispose()
  })

  it('says what it does not take', () => {
    expect(() => model.chat({ chat: false } as never)).toThrow(/chat template/)
    expect(() => model.chat({ logprobs: true } as never)).toThrow(/generate\(\[messages\]/)
    expect(() => model.chat({ topQ: 1 } as never)).toThrow(/did you mean topK|did you mean topP/)
  })
})

describe('saqr chat', () => {
  const ASKED = ['--model_name_or_path', adapter, '--no_bf16', '--device', 'cpu']
  const talk = (lines: string[], ...args: string[]) =>
    commandLine({ chat }, undefined, Readable.from(lines.map((line) => `${line}\n`)))('chat', ...ASKED, '--max_new_tokens', '6', ...args)
  const answer = (messages: { role: string; content: string }[], options = {}) =>
    read(model.generate(messages, { maxNewTokens: 6, ...options }))

  it('answers line by line, keeps what was said, and saves it', async () => {
    const file = join(folder, 'said.jsonl')
    const { code, out } = await talk(['one', '', `/save ${file}`, '/reset', 'one'])
    const one = await answer([{ role: 'user', content: 'one' }])
    expect([code, out]).toEqual([0, `${one}\n${one}\n`])
    expect(JSON.parse(readFileSync(file, 'utf8'))).toEqual({
      messages: [
        { role: 'user', content: 'one' },
        { role: 'assistant', content: one },
      ],
    })
  })

  it('knows commands', async () => {
    const { code, out, err } = await talk(['/base', 'one', '/system be brief', '/system', '/reset', '/base', 'two', '/system -', '/help'])
    const without = await answer([{ role: 'user', content: 'one' }], { adapter: false })
    const brief = await answer([
      { role: 'system', content: 'be brief' },
      { role: 'user', content: 'two' },
    ])
    expect([code, out]).toEqual([0, `${without}\n${brief}\n`])
    expect(err).toMatch(
      /^the base answers\n(cut .*--max_new_tokens ends\n)?system: be brief\nsystem: be brief\nthe conversation begins anew\nthe adapter answers\n/,
    )
    expect(err).toMatch(/no system message\n\/system \[TEXT\] +set the system message[\s\S]*Ctrl-D leaves\n$/)
    expect(`${out}${err}`).not.toContain('\x1b')
  })

  it.each(['/exit', '/quit', '/bye'])('%s leaves, whatever comes after it', async (leave) => {
    const { code, out } = await talk(['one', leave, 'two'])
    expect([code, out]).toEqual([0, `${await answer([{ role: 'user', content: 'one' }])}\n`])
    expect((await talk(['/sytem x', leave])).code).toBe(1)
  })

  it('computes in the dtype that it is asked for, as transformers does', async () => {
    const opening = vi.spyOn(OpenedModel.prototype, 'adapter')
    const opened = async (...args: string[]) => {
      opening.mockClear()
      const { code, err } = await commandLine(
        { chat },
        undefined,
        Readable.from([]),
      )(...(['chat', '--model_name_or_path', adapter, '--device', 'cpu', ...args] as const))
      return code === 0 ? (opening.mock.contexts[0] as OpenedModel).choice.dtype : err
    }
    try {
      for (const [args, dtype] of [
        [[], 'bf16'],
        [['--dtype', 'float32'], 'f32'],
        [['--dtype', 'bfloat16'], 'bf16'],
        [['--dtype', 'auto'], 'f32'], // as the tiny model's config.json says
        [['--no_bf16'], 'f32'],
        [['--bf16'], 'bf16'],
        [['--dtype', 'bfloat16', '--no_bf16'], 'bf16'],
      ] as const)
        expect(await opened(...args), args.join(' ')).toBe(dtype)
      expect(await opened('--dtype', 'float32', '--bf16')).toMatch(/--bf16 true contradicts --dtype float32; leave one of them out/)
    } finally {
      opening.mockRestore()
    }
  })

  it('goes on after an error, which the exit code tells', async () => {
    const { code, out, err } = await talk(['/sytem x', '/save', `/save ${folder}`, 'x'.repeat(300), 'one'])
    expect(code).toBe(1)
    expect(out).toBe(`\n${await answer([{ role: 'user', content: 'one' }])}\n`)
    expect(err).toMatch(/no command \/sytem: did you mean \/system\?/)
    expect(err).toMatch(/\/save needs the name of a file\n/)
    expect(err).toMatch(/nothing was said yet/)
    expect(err).toMatch(/TEXT_TOO_LONG.*\/reset begins anew/)
  })

  it('in a pipe an interrupt stops the answer and ends it, what was read ahead too', { timeout: 30_000 }, async () => {
    const lines = new PassThrough()
    const stop = new AbortController()
    const ended = commandLine({ chat }, stop, lines)('chat', ...ASKED, '--max_new_tokens', '200')
    // an answer is on its way as soon as its line is taken; without an end to the pipe nothing else ends
    lines.write('one\ntwo\n')
    setTimeout(() => stop.abort(new DOMException('stopped by SIGINT', 'AbortError')), 1500)
    const { code, err } = await ended
    expect(code).toBe(130)
    expect(err).not.toMatch(/error/)
  })

  it('a base alone has none beside it', async () => {
    const { err } = await commandLine({ chat }, undefined, Readable.from(['/base\n']))(
      'chat',
      '--model_name_or_path',
      base,
      '--device',
      'cpu',
    )
    expect(err).toMatch(/OPTION_INVALID: this model has no adapter to leave out \(--adapter\)\n/)
  })
})
