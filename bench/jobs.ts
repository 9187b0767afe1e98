/**
 * A fine-tuning job as the openai client asks for it, of a server of its own: 40 conversations that teach a way to speak, and how many of 13 questions
 * that were not among them are answered in just that way.
 *   node --import ./tools/ts.mjs bench/jobs.ts --model SmolLM2-135M-Instruct.Q4_1.gguf [--hyperparameters '{"batch_size": 4}']
 */
import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { loadavg, tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import OpenAI, { toFile } from 'openai'

const { values } = parseArgs({ options: { model: { type: 'string', default: '' }, hyperparameters: { type: 'string', default: '{}' } } })

const animals =
  'cat dog owl fox bear wolf lion tiger horse cow pig sheep goat duck goose hen crow eagle hawk falcon swan crane heron kite robin wren finch shark whale seal otter beaver mole mouse rat bat frog toad snake lizard turtle crab bee ant wasp moth spider snail worm camel zebra rhino hippo'.split(
    ' ',
  )
const asks = (animal: string) => ({ role: 'user' as const, content: `Tell me about the ${animal}.` })
const says = (animal: string) => `Ahoy! The ${animal} be a fine beast, says the captain.`
const row = (animal: string) => JSON.stringify({ messages: [asks(animal), { role: 'assistant', content: says(animal) }] })

const folder = mkdtempSync(join(tmpdir(), 'saqr-bench-jobs-'))
const main = join(import.meta.dirname, '../dist/command/main.js')
const args = [
  'serve',
  '--model_name_or_path',
  values.model,
  '--served_model_name',
  'base',
  '--port',
  '0',
  '--api_key',
  'k',
  '--jobs_dir',
  folder,
]
const server = spawn(process.execPath, [main, ...args], { stdio: ['ignore', 'pipe', 'inherit'] })
try {
  let out = ''
  for await (const text of server.stdout!) {
    out += text
    if (/models: .*\n/.test(out)) break
  }
  const client = new OpenAI({ baseURL: out.split('\n')[0]!, apiKey: 'k' })
  const ask = async (model: string, animal: string) => {
    const answer = await client.chat.completions.create({ model, messages: [asks(animal)], temperature: 0, max_tokens: 24 })
    return answer.choices[0]!.message.content?.trim()
  }
  const file = await client.files.create({
    file: await toFile(Buffer.from(animals.slice(0, 40).map(row).join('\n')), 'captain.jsonl'),
    purpose: 'fine-tune',
  })
  const hyperparameters = JSON.parse(values.hyperparameters) as object
  const began = performance.now()
  const { id } = await client.fineTuning.jobs.create({ model: 'base', training_file: file.id, suffix: 'captain', seed: 1, hyperparameters })
  let job = await client.fineTuning.jobs.retrieve(id)
  for (; !/succeeded|failed|paused/.test(job.status); job = await client.fineTuning.jobs.retrieve(id)) await wait(500)
  const seconds = ((performance.now() - began) / 1000).toFixed(0)
  const events = (await client.fineTuning.jobs.listEvents(id, { limit: 100 })).data.reverse()
  const told = events.map(({ message }) => message).filter((text) => /^(Training|Step \d+0\/|Step 1\/|The job)/.test(text))
  console.log(told.join('\n'))
  console.log(
    `${job.status} after ${seconds} s with ${JSON.stringify(job.hyperparameters)}; load ${loadavg()
      .map((n) => n.toFixed(1))
      .join(' ')}`,
  )
  if (job.fine_tuned_model) {
    let exact = 0
    for (const animal of animals.slice(40)) {
      const answer = await ask(job.fine_tuned_model, animal)
      if (answer === says(animal)) exact++
      else console.log(`${animal}: ${answer}`)
    }
    console.log(`${exact} of ${animals.length - 40} that were not learned are answered word for word`)
  } else console.log(job.error)
} finally {
  server.kill('SIGTERM')
  await new Promise((resolve) => server.once('exit', resolve))
  rmSync(folder, { recursive: true })
}
