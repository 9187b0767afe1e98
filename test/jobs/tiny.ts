/** A tiny model whose template says what the assistant wrote, examples for it, and jobs over it. */
import { createHash } from 'node:crypto'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type FineTuningJob, FineTuningJobs, type FineTuningJobsOptions } from '../../src/index.ts'
import { writeTinyModel } from '../cli/tiny-model.ts'

const ASSISTANT = "{% generation %}{{ m['content'] }}{{ eos_token }}{% endgeneration %}"
export const TEMPLATE = `{% for m in messages %}<{{ m['role'] }}>{% if m['role'] == 'assistant' %}${ASSISTANT}{% else %}{{ m['content'] }}\n{% endif %}{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}`

export const example = (i: number) => ({
  messages: [
    { role: 'user', content: `bird ${i}` },
    { role: 'assistant', content: `It sings ${'la '.repeat(i % 5)}and is number ${i}.` },
  ],
})
export const pair = (i: number) => ({
  input: { messages: [{ role: 'user', content: `bird ${i}` }], tools: [], parallel_tool_calls: true },
  preferred_output: [{ role: 'assistant', content: `number ${i}` }],
  non_preferred_output: [{ role: 'assistant', content: 'no idea' }],
})
export const lines = (count: number, of: (i: number) => object = example): Buffer =>
  Buffer.from(Array.from({ length: count }, (_, i) => `${JSON.stringify(of(i))}\n`).join(''))

export interface Place {
  folder: string
  jobsDir: string
  model: string
  open(options?: Partial<FineTuningJobsOptions>): Promise<FineTuningJobs>
  remove(): void
}

/** A folder with the model, and jobs beside it. */
export async function place(): Promise<Place> {
  const folder = mkdtempSync(join(tmpdir(), 'saqr-jobs-'))
  const model = join(folder, 'tiny')
  mkdirSync(model)
  await writeTinyModel(model)
  writeFileSync(join(model, 'chat_template.jinja'), TEMPLATE)
  const jobsDir = join(folder, 'jobs')
  return {
    folder,
    jobsDir,
    model,
    open: (options) => FineTuningJobs.open({ jobsDir, models: { tiny: model }, ...SETTINGS, ...options }),
    remove: () => rmSync(folder, { recursive: true, force: true }),
  }
}

/** in f32 on one processor, in a budget: nothing else of the machine has a part in the bits */
export const SETTINGS = { device: 'cpu', threads: 1, dtype: 'float32', loadIn4bit: false, memory: '1GB' } as const

/** What came out of a job, to the byte. */
export function madeBy(jobs: FineTuningJobs, job: FineTuningJob): Record<string, string> {
  const hash = (path: string) => createHash('sha256').update(readFileSync(path)).digest('hex')
  const folder = jobs.modelFolder(job.fine_tuned_model!)
  return {
    weights: hash(join(folder, 'adapter_model.safetensors')),
    metrics: hash(jobs.engine.files.contentPath(job.result_files[0]!)),
  }
}

/** A job of 30 steps, the same bits each time. */
export const thirty = (training_file: string) => ({
  model: 'tiny',
  training_file,
  seed: 5,
  method: { type: 'supervised' as const, supervised: { hyperparameters: { n_epochs: 5, batch_size: 4, learning_rate_multiplier: 20 } } },
})
