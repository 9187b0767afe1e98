/** `saqr serve`: OpenAI's API on this machine, with a model and adapters over it. */
import { once } from 'node:events'
import { basename } from 'node:path'
import { z } from 'zod'
import { openDevice } from '../../devices/open.ts'
import { withoutAdapter } from '../../engine/without-adapter.ts'
import { option, SaqrError, say } from '../../error.ts'
import { isFile, isFolder } from '../../hub/files.ts'
import type { Need } from '../../hub/need.ts'
import { JobEngine } from '../../jobs/engine.ts'
import { newKey } from '../../serve/guard.ts'
import { servedAdapter } from '../../serve/load-adapter.ts'
import { ApiServer } from '../../serve/server.ts'
import { beside, honoured, type OptionsOf, refused } from '../../train/options/field.ts'
import { count, described, optionalName, optionalTexts, size } from '../../train/options/schemas.ts'
import { told } from '../fault.ts'
import { openForGeneration } from '../load.ts'
import { modelFields } from '../sampling-fields.ts'
import { type Named, namedAdapters, tokenizerTold } from '../served-adapters.ts'
import { jobsOver } from '../served-jobs.ts'
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
const JOBS: Need = { met: (o) => o.jobsDir !== null, unless: say`without ${option('jobsDir')}` }
const jobFields = {
  jobs_dir: honoured(
    optionalName,
    null,
    'take OpenAI’s fine-tuning jobs over what is served, and keep files, jobs and their models in this folder; default: none are taken',
  ),
  job_memory: beside(
    JOBS,
    honoured(
      size.nullable(),
      null,
      'what a job may take on the device beside the server, such as 8GB; default: half of what is free at the start',
    ),
  ),
}
const access = {
  port: honoured(z.int().min(0).max(65535), PORT, 'of 127.0.0.1, where it listens; 0: any that is free'),
  host: refused(
    z.string(),
    '127.0.0.1',
    say`it listens on 127.0.0.1 only, so that nobody else reaches it; for other machines put a proxy in front of its ${option('port')}`,
    ['localhost'],
  ),
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

const fields = { ...modelFields, ...served, ...jobFields, ...access }

export const serve = defineVerb({
  name: 'serve',
  summary: 'answer over HTTP as OpenAI’s API does, on this machine',
  usage: '--model_name_or_path MODEL [options]',
  examples: [
    'saqr serve --model_name_or_path out',
    'saqr serve --model_name_or_path HuggingFaceTB/SmolLM2-135M-Instruct --adapters pirate=out/pirate formal=out/formal --port 0',
    'saqr serve --model_name_or_path HuggingFaceTB/SmolLM2-135M-Instruct --jobs_dir jobs',
  ],
  fields,
  themes: [
    { title: 'Model', fields: modelFields },
    { title: 'What is served', fields: served },
    { title: 'Fine-tuning jobs', fields: jobFields },
    { title: 'Who may ask', fields: access },
  ],
  async run({ options, io }) {
    const { modelNameOrPath: name } = options
    if (name === null)
      throw new SaqrError('OPTION_INVALID', say`no model: name a Hub id, a folder or a .gguf file with ${option('modelNameOrPath')}`)
    const own = options.servedModelName ?? (isFile(name) || isFolder(name) ? basename(name) : name)
    const adapters = namedAdapters(options.adapters ?? [], own)
    // a folder that another process has is told before a model is opened
    const engine = options.jobsDir === null ? null : new JobEngine(options.jobsDir)
    try {
      return await serveOn({ name, own, adapters, engine }, options, io)
    } finally {
      await engine?.close()
    }
  },
})

interface Asked {
  /** as the options have it, and as requests do */
  name: string
  own: string
  adapters: readonly Named[]
  engine: JobEngine | null
}

/** Until it is told to end. */
async function serveOn({ name, own, adapters, engine }: Asked, options: OptionsOf<typeof fields>, io: Io): Promise<number> {
  const { signal } = io
  const device = await openDevice(options.useCpu ? 'cpu' : options.device, { threads: options.threads })
  try {
    const { language, tokenizer, notes } = await openForGeneration(name, options, device, io)
    for (const note of notes) io.err.write(`${note}\n`)
    const { opened } = language
    const open = (as: string, folder: string) => servedAdapter(as, folder, opened, tokenizer, tokenizerTold(options))
    const first = { name: own, language: options.adapter ? language : withoutAdapter(language), tokenizer }
    const models = [first, ...adapters.map((one) => open(one.name, one.folder))]
    const trained = new Map([
      [own, options.adapter ? name : opened.checkpoint.path],
      ...adapters.map((one) => [one.name, one.folder] as const),
    ])
    const jobs = engine && (await jobsOver(engine, trained, opened, options, signal, open))
    const key = options.apiKey ?? newKey()
    const settings = { key, origins: options.allowedOrigins ?? [], maxNewTokens: options.maxNewTokens, onFault: faultOn(io) }
    const server = new ApiServer(models, jobs ? { ...settings, jobs } : settings)
    const url = `http://127.0.0.1:${await server.listen(options.port)}/v1`
    jobs?.start()
    io.out.write(`${url}\n`)
    if (options.apiKey === null) io.out.write(`API key: ${key}\n`)
    if (jobs) io.out.write(`fine-tuning jobs: ${options.jobsDir}, ${jobs.told}\n`)
    io.out.write(`models: ${server.models.join(', ')}\n`)
    if (!signal.aborted) await once(signal, 'abort')
    // a job saves where it is while the answers under way end
    await Promise.all([server.close(), engine?.close()])
    return 0
  } finally {
    device.dispose()
  }
}

/** a mistake of ours, or of the device: the client is told that it was one, the terminal which */
const faultOn =
  ({ err }: Io) =>
  (error: unknown) => {
    const { message, stack } = error instanceof Error ? error : new Error(String(error))
    const known = told(error)
    err.write(known ? `error ${known.code}: ${known.message}\n` : `error INTERNAL: ${stack ?? message}\n`)
  }
