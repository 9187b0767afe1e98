/** `saqr chat`: a conversation with a model in the terminal, or with each line of a pipe a message. */
import { basename } from 'node:path'
import { createInterface } from 'node:readline'
import { openDevice } from '../../devices/open.ts'
import { option, SaqrError, say } from '../../error.ts'
import { Chat } from '../../generate/chat.ts'
import { honoured } from '../../train/options/field.ts'
import { count, optionalText } from '../../train/options/schemas.ts'
import { spelling } from '../../train/options/spelling.ts'
import { ChatSession } from '../chat-session.ts'
import { openForGeneration } from '../load.ts'
import { modelFields, samplingFields } from '../sampling-fields.ts'
import { defineVerb } from '../verb.ts'

const conversation = { system: honoured(optionalText, null, 'system message; /system changes it') }
const sampling = { ...samplingFields, max_new_tokens: honoured(count, 1024, 'tokens of an answer at the most') }
const fields = { ...modelFields, ...conversation, ...sampling }

export const chat = defineVerb({
  name: 'chat',
  summary: 'talk with a model in the terminal, with its adapter and without',
  usage: '--model_name_or_path MODEL [options]',
  examples: [
    'saqr chat --model_name_or_path out',
    'saqr chat --model_name_or_path out --temperature 0.7 --system "Answer in one sentence."',
  ],
  fields,
  themes: [
    { title: 'Model', fields: modelFields },
    { title: 'Conversation', fields: conversation },
    { title: 'Sampling', fields: sampling },
  ],
  async run({ options, io }) {
    if (options.modelNameOrPath === null)
      throw new SaqrError('OPTION_INVALID', say`no model: name a Hub id, a folder or a .gguf file with ${option('modelNameOrPath')}`)
    const input = io.input ?? process.stdin
    const terminal = io.out.isTTY && 'isTTY' in input && input.isTTY === true
    const opened = await openDevice(options.useCpu ? 'cpu' : options.device, { threads: options.threads })
    try {
      const { language, tokenizer, notes } = await openForGeneration(options.modelNameOrPath, options, opened, io, true)
      for (const note of notes) io.err.write(`${note}\n`)
      const { system, adapter, maxNewTokens, temperature, topK, topP, minP, repetitionPenalty, presencePenalty, frequencyPenalty, seed } =
        options
      const shape = { temperature, topK, topP, minP, repetitionPenalty, presencePenalty, frequencyPenalty, seed }
      const chat = new Chat(language, tokenizer, { system, adapter, maxNewTokens, stopStrings: options.stopStrings ?? [], ...shape })
      const session = new ChatSession(chat, io.out, io.err, spelling(fields, []))
      if (terminal)
        session.note(
          `${basename(options.modelNameOrPath)}${language.spec.kind === 'lora' ? ' with its adapter' : ''}: /help lists the commands, Ctrl-D leaves`,
        )
      return await talk(session, input, terminal ? io.out.color === true : null, io.signal)
    } finally {
      opened.dispose()
    }
  },
})

/** @param color of the mark where a message is awaited; null: nobody types @returns the exit code: 1 where a line of a pipe was an error */
async function talk(session: ChatSession, input: NodeJS.ReadableStream, color: boolean | null, signal: AbortSignal): Promise<number> {
  const terminal = color !== null
  const lines = createInterface({
    input,
    terminal,
    ...(terminal ? { output: process.stdout } : {}),
    prompt: color ? '\x1b[1m>\x1b[22m ' : '> ',
  })
  let failed = false
  let asked = false
  // in a terminal Ctrl-C is a key: it stops an answer, and where there is none, says how to leave
  lines.on('SIGINT', () => {
    if (session.stop()) return
    session.note(asked ? 'Ctrl-D leaves' : '\nCtrl-D leaves')
    lines.prompt()
  })
  const end = () => {
    session.stop()
    lines.close()
  }
  signal.addEventListener('abort', end)
  try {
    signal.throwIfAborted()
    if (terminal) lines.prompt()
    for await (const line of lines) {
      asked = true
      failed = !(await session.line(line)) || failed
      asked = false
      // lines that were read ahead stay unanswered
      signal.throwIfAborted()
      if (session.left) return failed && !terminal ? 1 : 0
      if (terminal) lines.prompt()
    }
    signal.throwIfAborted()
    if (terminal) process.stdout.write('\n')
    return failed && !terminal ? 1 : 0
  } finally {
    signal.removeEventListener('abort', end)
    lines.close()
    session.chat.dispose()
  }
}
