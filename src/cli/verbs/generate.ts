/** `saqr generate`: a model goes on from a prompt, piece by piece as it comes. */
import { text as readAll } from 'node:stream/consumers'
import { z } from 'zod'
import { openDevice } from '../../devices/open.ts'
import { option, SaqrError, say } from '../../error.ts'
import { generate as pieces } from '../../generate/generate.ts'
import type { Need } from '../../hub/need.ts'
import { beside, honoured } from '../../train/options/field.ts'
import { count, optionalFlag, optionalText } from '../../train/options/schemas.ts'
import { sftFields } from '../../train/options/sft.ts'
import { openForGeneration } from '../load.ts'
import { defineVerb } from '../verb.ts'

/** sft's options where they say what a model is; how they are told is another matter here */
const model = {
  model_name_or_path: { ...sftFields.model_name_or_path, help: 'Hub id, folder, .gguf file, or a folder with a PEFT adapter' },
  model_revision: sftFields.model_revision,
  dtype: {
    ...sftFields.dtype,
    help: say`with ${option('bf16')} false, what is computed in: float32, bfloat16, or as the checkpoint is stored (auto)`,
    refuses: { float16: say`saqr computes in bf16 or f32; leave it out, or use ${option('bf16')} false for f32` },
  },
  bf16: { ...sftFields.bf16, help: 'weights and products in bf16, sums in f32 (the default); false: as dtype says' },
  load_in_4bit: { ...sftFields.load_in_4bit, help: 'hold the weights in 4-bit NF4' },
  use_bnb_nested_quant: sftFields.use_bnb_nested_quant,
  eos_token: { ...sftFields.eos_token, help: 'token at which the answer ends; default: the tokenizer’s' },
  chat_template_path: sftFields.chat_template_path,
  device: sftFields.device,
  threads: sftFields.threads,
  use_cpu: { ...sftFields.use_cpu, help: say`compute on the CPU whatever else there is (${option('device')} cpu)` },
}
const prompt = {
  prompt: honoured(optionalText, null, 'question, or beginning of a text; also as plain words, or from standard input'),
  chat: honoured(optionalFlag, null, 'put the prompt into the chat template as a user’s message; default: where the model has one'),
  system: honoured(optionalText, null, 'system message before the prompt, where it goes into the chat template'),
}
const DRAWN: Need = { met: (o) => o.temperature !== 0, unless: say`without ${option('temperature')}` }
const sampling = {
  max_new_tokens: honoured(count, 256, 'tokens at the most'),
  temperature: honoured(z.number().min(0), 0, '0: always the likeliest token; else tokens are drawn at this temperature'),
  top_k: beside(DRAWN, honoured(z.int().min(0), 0, 'draw from this many likeliest tokens; 0: all')),
  top_p: beside(DRAWN, honoured(z.number().positive().max(1), 1, 'draw from the likeliest tokens that hold this probability together')),
  seed: beside(DRAWN, honoured(z.int().min(0), 0, 'of the draws; the same seed draws the same text')),
}

export const generate = defineVerb({
  name: 'generate',
  summary: 'ask a model, or let it continue a text',
  usage: '--model_name_or_path MODEL [options] PROMPT',
  examples: [
    'saqr generate --model_name_or_path out "What is a falcon?"',
    'echo "Once upon a time" | saqr generate --model_name_or_path out --no_chat',
  ],
  fields: { ...model, ...prompt, ...sampling },
  themes: [
    { title: 'Model', fields: model },
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
      const { language, tokenizer, notes } = await openForGeneration(options.modelNameOrPath, options, opened, io)
      for (const note of notes) io.err.write(`${note}\n`)
      const answer = pieces(language, tokenizer, text, { ...options, signal: io.signal })
      let next = await answer.next()
      for (; !next.done; next = await answer.next()) io.out.write(next.value)
      io.out.write('\n')
      if (next.value === 'positions')
        io.err.write(`the text ends where the model’s ${language.opened.model.maxPositions} positions end, short of what was asked for\n`)
      return 0
    } finally {
      opened.dispose()
    }
  },
})

async function standardInput(): Promise<string> {
  if (process.stdin.isTTY)
    throw new SaqrError(
      'OPTION_INVALID',
      say`nothing to go on from: give a prompt as words, with ${option('prompt')}, or on standard input`,
    )
  return (await readAll(process.stdin)).replace(/\n$/, '')
}
