/** Jobs, and the models they make: one of each for the whole server, whichever route asks. */
import { FastLanguageModel, FineTuningJobs, type PretrainedModel } from 'saqr'

/** What can be trained over, by name: a model of the Hub ('HuggingFaceTB/SmolLM2-135M-Instruct'), a folder or a .gguf file. This one comes with saqr. */
const MODELS = { quickstart: 'node_modules/saqr/assets/quickstart/model' }
/** examples to train on where none are sent */
const ROWS = 'node_modules/saqr/assets/quickstart/train.jsonl'

interface Server {
  jobs?: Promise<FineTuningJobs>
  open?: { name: string; model: PretrainedModel }
  answered: Promise<void>
}
// `next dev` loads this file again when it changes; what is open stays
const global = globalThis as { training?: Server }
const server = (global.training ??= { answered: Promise.resolve() })

/** Opened when it is first asked for: a build opens nothing. Jobs that a stopped server left go on then. */
export async function training(): Promise<FineTuningJobs> {
  server.jobs ??= FineTuningJobs.open({ jobsDir: 'jobs', models: MODELS })
  try {
    return await server.jobs
  } catch (error) {
    server.jobs = undefined // the next request tries again
    throw error
  }
}

/** @param rows examples, a line of JSON each; null: those that come with saqr */
export async function startJob(rows: AsyncIterable<Uint8Array> | null): Promise<string> {
  const jobs = await training()
  const file = await jobs.createFile(rows ?? ROWS)
  const hyperparameters = { n_epochs: 3, batch_size: 16, learning_rate_multiplier: 10 }
  const job = await jobs.create({
    model: 'quickstart',
    training_file: file.id,
    method: { type: 'supervised', supervised: { hyperparameters } },
  })
  return job.id
}

/** What a model that a job made says to a prompt, piece by piece. One answers at a time; the last one asked stays open. */
export async function* answer(name: string, prompt: string, signal: AbortSignal): AsyncGenerator<string> {
  const folder = (await training()).modelFolder(name)
  const before = server.answered
  let done = () => {}
  server.answered = new Promise((resolve) => (done = resolve))
  await before
  try {
    if (server.open?.name !== name) {
      await server.open?.model.dispose()
      server.open = undefined
      const { model } = await FastLanguageModel.fromPretrained(folder)
      server.open = { name, model }
    }
    yield* server.open!.model.generate(prompt, { maxNewTokens: 80, doSample: false, signal })
  } finally {
    done()
  }
}
