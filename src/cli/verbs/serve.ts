/** `saqr serve`: OpenAI's API on this machine, with a model and adapters over it. */
import { once } from 'node:events'
import { basename } from 'node:path'
import { z } from 'zod'
import { openDevice } from '../../devices/open.ts'
import { withoutAdapter } from '../../engine/without-adapter.ts'
import { option, SaqrError, say } from '../../error.ts'
import { isFile, isFolder } from '../../hub/files.ts'
import { newKey } from '../../serve/guard.ts'
import { ApiServer } from '../../serve/server.ts'
import { honoured } from '../../train/options/field.ts'
import { count, described, optionalName, optionalTexts } from '../../train/options/schemas.ts'
import { openForGeneration } from '../load.ts'
import { modelFields } from '../sampling-fields.ts'
import { loadAdapters, namedAdapters } from '../served-adapters.ts'
import { defineVerb, type Io } from '../verb.ts'

const PORT = 8000

const served = {
  served_model_name: honoured(
    optionalName,
    null,
    'name that requests give as model; default: the Hub id, or the folder’s or file’s own name',
  ),
  adapters: honoured(optionalTexts, null, 'further adapters over the same base, each a model of its own: NAME=FOLDER …'),
  max_new_tokens: honoured(count, 1024, 'tokens of an answer at the most, where a request names no max_tokens'),
}
const access = {
  port: honoured(z.int().min(0).max(65535), PORT, 'of 127.0.0.1, where it listens; 0: any that is free'),
  api_key: honoured(
    described(z.string().nullable(), 'a key without spaces', (key) => key === null || /^[\x21-\x7e]+$/.test(key)),
    null,
    'that requests must bear; default: a new one, which is printed',
  ),
  allowed_origins: honoured(
    described(
      optionalTexts,
      'origins such as https://app.example',
      (all) => all === null || all.every((one) => URL.canParse(one) && new URL(one).origin === one),
    ),
    null,
    'pages that may ask beside those of this machine, as https://app.example',
  ),
}

export const serve = defineVerb({
  name: 'serve',
  summary: 'answer over HTTP as OpenAI’s API does, on this machine',
  usage: '--model_name_or_path MODEL [options]',
  examples: [
    'saqr serve --model_name_or_path out',
    'saqr serve --model_name_or_path HuggingFaceTB/SmolLM2-135M-Instruct --adapters pirate=out/pirate formal=out/formal --port 0',
  ],
  fields: { ...modelFields, ...served, ...access },
  themes: [
    { title: 'Model', fields: modelFields },
    { title: 'What is served', fields: served },
    { title: 'Who may ask', fields: access },
  ],
  async run({ options, io }) {
    const { modelNameOrPath: name, port, maxNewTokens } = options
    if (name === null)
      throw new SaqrError('OPTION_INVALID', say`no model: name a Hub id, a folder or a .gguf file with ${option('modelNameOrPath')}`)
    const own = options.servedModelName ?? (isFile(name) || isFolder(name) ? basename(name) : name)
    const adapters = namedAdapters(options.adapters ?? [], own)
    const { signal } = io
    const device = await openDevice(options.useCpu ? 'cpu' : options.device, { threads: options.threads })
    try {
      const { language, tokenizer, notes } = await openForGeneration(name, options, device, io)
      for (const note of notes) io.err.write(`${note}\n`)
      const first = { name: own, language: options.adapter ? language : withoutAdapter(language), tokenizer }
      const models = [first, ...loadAdapters(adapters, language, tokenizer, options)]
      const key = options.apiKey ?? newKey()
      const settings = { key, origins: options.allowedOrigins ?? [], maxNewTokens, onFault: faultOn(io) }
      const server = new ApiServer(models, settings)
      const url = `http://127.0.0.1:${await server.listen(port)}/v1`
      io.out.write(`${url}\n`)
      if (options.apiKey === null) io.out.write(`API key: ${key}\n`)
      io.out.write(`models: ${models.map((one) => one.name).join(', ')}\n`)
      if (!signal.aborted) await once(signal, 'abort')
      await server.close()
      return 0
    } finally {
      device.dispose()
    }
  },
})

/** a mistake of ours, or of the device: the client is told that it was one, the terminal which */
const faultOn =
  ({ err }: Io) =>
  (error: unknown) => {
    const { message, stack } = error instanceof Error ? error : new Error(String(error))
    err.write(error instanceof SaqrError ? `error ${error.code}: ${message}\n` : `error INTERNAL: ${stack ?? message}\n`)
  }
