/** `saqr generate`: a model goes on from a prompt, piece by piece as it comes. */
import { text as readAll } from 'node:stream/consumers'
import { openDevice } from '../../devices/open.ts'
import { withoutAdapter } from '../../engine/without-adapter.ts'
import { option, SaqrError, say } from '../../error.ts'
import { type AnswerPiece, generateAnswers } from '../../generate/generate.ts'
import type { TokenLogprob } from '../../generate/sample.ts'
import type { Tokenizer } from '../../text/tokenizer.ts'
import { honoured } from '../../train/options/field.ts'
import { optionalFlag, optionalText } from '../../train/options/schemas.ts'
import { openForGeneration } from '../load.ts'
import { logprobFields, modelFields, samplingFields } from '../sampling-fields.ts'
import { defineVerb } from '../verb.ts'

const prompt = {
  prompt: honoured(optionalText, null, 'question, or beginning of a text; also as plain words, or from standard input'),
  chat: honoured(optionalFlag, null, 'put the prompt into the chat template as a user’s message; default: where the model has one'),
  system: honoured(optionalText, null, 'system message before the prompt, where it goes into the chat template'),
}
const sampling = { ...samplingFields, ...logprobFields }

export const generate = defineVerb({
  name: 'generate',
  summary: 'ask a model, or let it continue a text',
  usage: '--model_name_or_path MODEL [options] PROMPT',
  examples: [
    'saqr generate --model_name_or_path out "What is a falcon?"',
    'echo "Once upon a time" | saqr generate --model_name_or_path out --no_chat',
  ],
  fields: { ...modelFields, ...prompt, ...sampling },
  themes: [
    { title: 'Model', fields: modelFields },
    { title: 'Prompt', fields: prompt },
    { title: 'Sampling', fields: sampling },
  ],
  words: true,
  async run({ options, words, io }) {
    if (options.modelNameOrPath === null)
      throw new SaqrError('OPTION_INVALID', say`no model: name a Hub id, a folder or a .gguf file with ${option('modelNameOrPath')}`)
    if (options.prompt !== null && words.length > 0)
      throw new SaqrError(
        'OPTION_INVALID',
        say`there are two prompts, ${option('prompt')} and the words ${words.join(' ')}: keep one, in quotes where it has spaces`,
      )
    const text = options.prompt ?? (words.length > 0 ? words.join(' ') : await standardInput())
    const opened = await openDevice(options.useCpu ? 'cpu' : options.device, { threads: options.threads })
    try {
      const { language, tokenizer, notes } = await openForGeneration(options.modelNameOrPath, options, opened, io, true)
      for (const note of notes) io.err.write(`${note}\n`)
      const { stopStrings, ...o } = options
      const asked = { ...o, stopStrings: stopStrings ?? [], signal: io.signal }
      for await (const piece of generateAnswers(options.adapter ? language : withoutAdapter(language), tokenizer, [text], asked)) {
        io.out.write(options.logprobs ? lineOf(piece, tokenizer) : piece.text)
        if (piece.ending === 'positions')
          io.err.write(
            `\nthe text ends where the model’s ${language.opened.model.maxPositions} positions end, short of what was asked for\n`,
          )
      }
      if (!options.logprobs) io.out.write('\n')
      return 0
    } finally {
      opened.dispose()
    }
  },
})

/** {"text": " falcon", "id": 42, "token": "Ġfalcon", "logprob": -0.1, "top_logprobs": [{"id": 42, …}]}, at last {"text": "", "ending": "length"} */
function lineOf({ text, token, ending }: AnswerPiece, tokenizer: Tokenizer): string {
  const rated = ({ id, logprob }: TokenLogprob) => ({ id, token: tokenizer.tokenOf(id), logprob: Number(logprob.toPrecision(7)) })
  return `${JSON.stringify(token ? { text, ...rated(token), top_logprobs: token.topLogprobs.map(rated) } : { text, ending })}\n`
}

async function standardInput(): Promise<string> {
  if (process.stdin.isTTY)
    throw new SaqrError(
      'OPTION_INVALID',
      say`nothing to go on from: give a prompt as words, with ${option('prompt')}, or on standard input`,
    )
  return (await readAll(process.stdin)).replace(/\n$/, '')
}
