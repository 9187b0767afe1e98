/** Fine-tuning jobs in a program, from a file to a model. */
import { existsSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { FastLanguageModel, type FineTuningJobs } from '../../src/index.ts'
import { example, lines, type Place, pair, place, thirty } from './tiny.ts'

let p: Place
let jobs: FineTuningJobs
beforeEach(async () => {
  p = await place()
  jobs = await p.open()
})
afterEach(async () => {
  await jobs.close()
  p.remove()
})

const textOf = async (bytes: AsyncIterable<Uint8Array>) => {
  let text = ''
  for await (const part of bytes) text += Buffer.from(part).toString()
  return text
}

it('learns, says how it went, and ends as a model', async () => {
  const file = await jobs.createFile(lines(24), { filename: 'birds.jsonl' })
  expect(file).toMatchObject({ object: 'file', filename: 'birds.jsonl', purpose: 'fine-tune', bytes: lines(24).length })
  await expect(jobs.createFile(String(lines(4)))).rejects.toThrow(/is the text of a file: give Buffer\.from\(text\)/)
  const held = await jobs.createFile(lines(4))
  const made = await jobs.create({ ...thirty(file.id), validation_file: held.id, suffix: 'birds', metadata: { of: 'test' } })
  expect(made).toMatchObject({ status: 'validating_files', error: null, fine_tuned_model: null, estimated_finish: null })
  let longest = 0
  let last = performance.now()
  const beat = setInterval(() => {
    longest = Math.max(longest, performance.now() - last)
    last = performance.now()
  }, 5)
  const events: string[] = []
  const losses: number[] = []
  for await (const { message, data } of jobs.events(made.id)) {
    if (data.train_loss !== undefined) losses.push(data.train_loss)
    else events.push(message)
  }
  clearInterval(beat)
  const job = await jobs.wait(made.id)
  const name = `ft:tiny:birds:${made.id.slice(-8)}`
  expect(job).toMatchObject({
    status: 'succeeded',
    fine_tuned_model: name,
    hyperparameters: { n_epochs: 5, batch_size: 4, learning_rate_multiplier: 20 },
    metadata: { of: 'test' },
    user_provided_suffix: 'birds',
  })
  expect(events.map((text) => text.replace(/(ftjob|file)-\w+/, '$1').replace(/loss=.*/, 'loss'))).toEqual([
    'Created fine-tuning job: ftjob',
    expect.stringMatching(/^Validating training file: file and validation file: file-/),
    'Files validated, moving job to queued state',
    'Fine-tuning job started',
    expect.stringMatching(/^Training LoRA r 16, .*: 30 steps, \d+ MB of memory planned$/),
    ...[6, 12, 18, 24, 30].flatMap((step) => [`Step ${step}/30: full validation loss`, `Checkpoint created at step ${step}`]),
    `New fine-tuned model created: ${name}`,
    'The job has successfully completed',
  ])
  // a step a line, and it did learn
  expect(losses).toHaveLength(30)
  expect(losses[29]!).toBeLessThan(losses[0]! - 1)
  // training is another process's work: a step takes milliseconds, a pause of a second would be a blocked loop
  expect(longest).toBeLessThan(1000)
  const csv = (await textOf(jobs.fileContent(job.result_files[0]!))).split('\n')
  expect(csv[0]).toBe('step,train_loss,train_accuracy,valid_loss,valid_mean_token_accuracy')
  expect(csv).toHaveLength(32)
  expect(csv[1]).toMatch(/^1,\d\.\d{5},\d\.\d{5},,$/)
  expect(csv[6]).toMatch(/^6,\d\.\d{5},\d\.\d{5},\d\.\d{5},\d\.\d{5}$/)
  expect(job.trained_tokens).toBeGreaterThan(24 * 5 * 20)
  // the last three epochs, each a model
  const checkpoints = jobs.listCheckpoints(job.id)
  expect(checkpoints.map((one) => one.step_number)).toEqual([30, 24, 18])
  expect(checkpoints[0]!.metrics).toMatchObject({ step: 30, train_loss: losses[29], full_valid_loss: expect.any(Number) })
  expect(jobs.models()).toEqual([name, ...[18, 24, 30].map((step) => `${name}:ckpt-step-${step}`)])
  const { model } = await FastLanguageModel.fromPretrained(jobs.modelFolder(name), { device: 'cpu', dtype: 'float32' })
  expect(model.language.adapter.config?.r).toBe(16)
  await model.dispose()
  jobs.deleteModel(name)
  expect(jobs.models()).not.toContain(name)
  expect(() => jobs.modelFolder(name)).toThrow(/there is no model/)
})

it('goes on from a model that a job made, and from pairs of preferences', async () => {
  const file = await jobs.createFile(lines(8))
  const first = await jobs.wait((await jobs.create({ model: 'tiny', training_file: file.id, method: epochs(1) })).id)
  const pairs = await jobs.createFile(lines(8, pair))
  const request = {
    model: first.fine_tuned_model!,
    training_file: pairs.id,
    method: { type: 'dpo' as const, dpo: { hyperparameters: { n_epochs: 2, beta: 0.2 } } },
  }
  const made = await jobs.create(request)
  // what it begins from stays until it has ended
  expect(() => jobs.deleteModel(first.fine_tuned_model!)).toThrow(/is what ftjob-\w+ trains on: cancel that job first/)
  const second = await jobs.wait(made.id)
  expect(second).toMatchObject({
    status: 'succeeded',
    model: first.fine_tuned_model,
    fine_tuned_model: `ft:tiny::${made.id.slice(-8)}`,
    method: { type: 'dpo', dpo: { hyperparameters: { n_epochs: 2, batch_size: 2, learning_rate_multiplier: 1, beta: 0.2 } } },
  })
})

const epochs = (n_epochs: number) => ({ type: 'supervised' as const, supervised: { hyperparameters: { n_epochs } } })

it('goes on from a model of an epoch that newer ones take the place of while it waits', async () => {
  const file = await jobs.createFile(lines(24))
  const first = await jobs.create(thirty(file.id))
  for await (const { message } of jobs.events(first.id)) if (message === 'Checkpoint created at step 6') break
  const [name] = jobs.models()
  const folder = jobs.modelFolder(name!)
  const second = await jobs.create({ model: name!, training_file: file.id, method: epochs(1) })
  expect((await jobs.wait(first.id)).status).toBe('succeeded')
  // no longer one of the last three
  expect(jobs.listCheckpoints(first.id).map((one) => one.step_number)).toEqual([30, 24, 18])
  expect(readdirSync(dirname(folder)).sort()).toEqual(['step-18', 'step-24', 'step-30', 'step-6'])
  expect(await jobs.wait(second.id)).toMatchObject({ status: 'succeeded', model: `ft:tiny::${first.id.slice(-8)}:ckpt-step-6` })
  // and nobody's any more
  await vi.waitFor(() => expect(existsSync(folder)).toBe(false), 5000)
})

it('trains one at a time, in the order they came, however long one’s file takes to look at', async () => {
  const [long, file] = [await jobs.createFile(Buffer.from('\n'.repeat(1e6) + lines(8))), await jobs.createFile(lines(8))]
  const ids: string[] = []
  for (const { id } of [long, file, file])
    ids.push((await jobs.create({ model: 'tiny', training_file: id, seed: 1, method: epochs(2) })).id)
  for (const { id } of [long, file]) jobs.deleteFile(id) // they have what they need
  const order: string[] = []
  await Promise.all(
    ids.map(async (id) => {
      for await (const { message } of jobs.events(id)) if (/started|completed/.test(message)) order.push(`${ids.indexOf(id)} ${message}`)
    }),
  )
  expect(order.map((one) => one[0])).toEqual(['0', '0', '1', '1', '2', '2'])
  expect(jobs.list().map(({ id }) => id)).toEqual(ids.toReversed())
})

describe('a file that can’t be trained on', () => {
  const failed = async (bytes: Uint8Array, method: 'supervised' | 'dpo' = 'supervised') => {
    const file = await jobs.createFile(bytes, { filename: 'rows.jsonl' })
    const job = await jobs.wait((await jobs.create({ model: 'tiny', training_file: file.id, method: { type: method } })).id)
    expect(job).toMatchObject({
      status: 'failed',
      fine_tuned_model: null,
      error: { code: 'invalid_training_file', param: 'training_file' },
    })
    expect(jobs.listEvents(job.id).map(({ message }) => message)).not.toContain('Fine-tuning job started')
    return job.error!.message.replace(file.id, 'ID')
  }
  const good = lines(2).toString()
  it.each([
    ['no JSON', `${good}{"messages": [}\n`, /^rows.jsonl \(ID\), line 3.*:/],
    [
      'a list over lines',
      `[\n${good.trim().replace('\n', ',\n')}\n]`,
      /line 1, column 2 is not valid JSON: .*\. A file of examples is JSON Lines: one object a line/,
    ],
    ['a list on a line', JSON.stringify([pair(1)]), /line 1: an example is an object, this is \[.*\. A file of examples is JSON Lines/],
    ['an object over lines', JSON.stringify(pair(1), null, 1), /line 1, column 2 is not .*JSON Lines: one object a line/],
    ['no object', `${good}[1]\n`, /^rows.jsonl \(ID\), line 3: an example is an object, this is \[1\]/],
    ['other columns', `${good}{"text": "x"}\n`, /line 3: an example has messages, or prompt and completion as texts; this has text/],
    ['a message without a role', `\n${good}{"messages": [{"content": "x"}]}`, /line 4: messages\[0\] has no role/],
    ['nothing to learn', '{"messages": [{"role": "user", "content": "x"}]}', /line 1: messages hold nothing of the assistant’s/],
    ['a pair', JSON.stringify(pair(1)), /trained on by the method dpo/],
    ['two shapes', `${good}{"prompt": "a", "completion": "b"}`, /line 3: the lines before have messages, this one has prompt/],
    ['nothing at all', '\n\n', /has no example/],
    ['bytes that are no text', Buffer.from([...lines(1), 0xff, 10]), /line 2.*UTF-8/],
  ])('%s', async (_, bytes, message) => {
    expect(await failed(Buffer.from(bytes))).toMatch(message)
  })

  it('of pairs', async () => {
    expect(await failed(lines(1), 'dpo')).toMatch(/line 1: a pair has input, an object with messages/)
    const two = { ...pair(0), preferred_output: [{ role: 'user', content: 'x' }] }
    expect(
      await failed(
        lines(1, () => two),
        'dpo',
      ),
    ).toMatch(/line 1: preferred_output must be one message of the assistant/)
  })

  it('that only the template refuses: named before the first step', async () => {
    const strange = { messages: [{ role: 'user', content: 'a' }, { role: 'assistant', content: 'b', weight: 0.5 }] } // biome-ignore format: short
    const file = await jobs.createFile(
      lines(3, (i) => (i === 1 ? strange : example(i))),
      { filename: 'rows.jsonl' },
    )
    const job = await jobs.wait((await jobs.create({ model: 'tiny', training_file: file.id })).id)
    expect(job.error).toMatchObject({ code: 'invalid_training_file', param: 'training_file' })
    expect(job.error!.message).toMatch(/line 2: message 2 says weight: 0.5/)
    expect(jobs.listEvents(job.id).some(({ type }) => type === 'metrics')).toBe(false)
    // and nothing of it stays, once its process has left
    await vi.waitFor(() => expect(readdirSync(join(p.jobsDir, 'jobs', job.id)).sort()).toEqual(['events.jsonl', 'job.json']), 5000)
  })

  it('to validate with', async () => {
    const [file, held] = [await jobs.createFile(lines(3)), await jobs.createFile(Buffer.from('{}'), { filename: 'held.jsonl' })]
    const job = await jobs.wait((await jobs.create({ model: 'tiny', training_file: file.id, validation_file: held.id })).id)
    expect(job.error).toMatchObject({ code: 'invalid_validation_file', param: 'validation_file' })
  })
})

describe('refuses', () => {
  it.each([
    [{ model: 'gpt-4o' }, /^model: there is no model 'gpt-4o' to train: there is tiny/],
    [{ training_file: 'file-none' }, /^training_file: there is no file 'file-none'/],
    [{ training_file: '../../etc/passwd' }, /^training_file: there is no file/],
    [{ training_file: undefined }, /needs training_file/],
    [{ method: { type: 'reinforcement' } }, /^method.type 'reinforcement' is refused: no grader runs here/],
    [{ method: { type: 'dpo', supervised: {} } }, /^method.supervised has no effect: the method is dpo/],
    [{ method: { type: 'supervised', supervised: { hyperparameters: { n_epoch: 3 } } } }, /n_epoch is not known: there are n_epochs, /],
    [{ hyperparameters: { n_epochs: 0 } }, /^hyperparameters.n_epochs: expected auto or a whole number of at least 1 and at most 50/],
    [{ hyperparameters: { beta: 0.1 } }, /^hyperparameters.beta is not known/],
    [{ hyperparameters: {}, method: { type: 'dpo' } }, /^hyperparameters is the older place of those in method/],
    [{ suffix: '../x' }, /^suffix: expected up to 64 letters/],
    [{ seed: -1 }, /^seed: /],
    [{ metadata: { a: 1 } }, /^metadata: /],
    [{ integrations: [{ type: 'wandb' }] }, /^integrations .* is refused: runs of jobs are not reported/],
    [{ n_epochs: 3 }, /a fine-tuning job has no parameter n_epochs/],
  ])('%j', async (wrong, message) => {
    const file = await jobs.createFile(lines(1))
    await expect(jobs.create({ model: 'tiny', training_file: file.id, ...wrong } as never)).rejects.toThrow(message)
    expect(jobs.list()).toEqual([])
  })

  it('the results of a job as examples', async () => {
    const file = await jobs.createFile(lines(4))
    const job = await jobs.wait((await jobs.create({ model: 'tiny', training_file: file.id, method: epochs(1) })).id)
    const again = jobs.create({ model: 'tiny', training_file: job.result_files[0]! })
    await expect(again).rejects.toThrow(/^training_file: file-\w+ holds the results of a job/)
  })

  it('a job that does not fit into its memory, before its first step', async () => {
    await jobs.close()
    jobs = await p.open({ memory: '1MB' })
    const file = await jobs.createFile(lines(4))
    const job = await jobs.wait((await jobs.create({ model: 'tiny', training_file: file.id })).id)
    expect(job.error).toMatchObject({
      code: 'memory_budget',
      message: expect.stringMatching(/^1MB of memory are too little: .* --job_memory/),
    })
    expect(jobs.listEvents(job.id).some(({ type }) => type === 'metrics')).toBe(false)
  })

  it('a folder that is in use', async () => {
    await expect(p.open()).rejects.toMatchObject({ code: 'JOB_FOLDER', message: expect.stringMatching(/^jobsDir: .* is in use by /) })
  })

  it('what would write to a folder that was left, by an upload under way too', async () => {
    const { id } = await jobs.createFile(lines(1))
    let go = () => {}
    const slow = async function* () {
      yield lines(1)
      await new Promise<void>((resolve) => {
        go = resolve
      })
      yield lines(1)
    }
    const upload = jobs.createFile(slow())
    await vi.waitFor(() => expect(readdirSync(join(p.jobsDir, 'files'))).toHaveLength(2), 5000)
    await jobs.close()
    go()
    const closed = { code: 'JOB_CLOSED' }
    await expect(upload).rejects.toMatchObject(closed)
    await expect(jobs.createFile(lines(1))).rejects.toMatchObject(closed)
    expect(() => jobs.deleteFile(id)).toThrow(expect.objectContaining(closed))
    expect(() => jobs.deleteModel('ft:tiny::x')).toThrow(expect.objectContaining(closed))
    expect(readdirSync(join(p.jobsDir, 'files'))).toEqual([id])
  })

  it('what its state does not allow', async () => {
    const file = await jobs.createFile(lines(4))
    const { id } = await jobs.create({ model: 'tiny', training_file: file.id, method: epochs(1) })
    await expect(jobs.resume(id)).rejects.toMatchObject({ code: 'JOB_STATE' })
    await jobs.wait(id)
    for (const call of ['cancel', 'pause', 'resume'] as const) await expect(jobs[call](id)).rejects.toMatchObject({ code: 'JOB_STATE' })
    expect(() => jobs.retrieve('ftjob-none')).toThrow(/there is no job 'ftjob-none' here/)
  })

  it('a file that can’t be read: it is named, and nothing else is said of it', async () => {
    const path = join(p.folder, 'gone.jsonl')
    writeFileSync(path, lines(1))
    const made = jobs.createFile(path)
    rmSync(path) // there when it is asked for, and not when it is opened
    await expect(made).rejects.toMatchObject({ code: 'FORMAT_NOT_FOUND', message: expect.stringContaining(path) })
    expect(readdirSync(join(p.jobsDir, 'files'))).toEqual([])
  })

  it('a name as a path: it is kept as a name alone', async () => {
    const { id, filename } = await jobs.createFile(lines(1), { filename: '../../..\\evil\u0000.jsonl' })
    expect(filename).toBe('evil.jsonl')
    expect(readdirSync(join(p.jobsDir, 'files'))).toEqual([id])
    expect(existsSync(join(p.folder, 'evil.jsonl'))).toBe(false)
  })
})

it('auto: 100 examples at least, three epochs, 25,000 at most', async () => {
  const { settled } = await import('../../src/jobs/hyperparameters.ts')
  const auto = { n_epochs: 'auto', batch_size: 'auto', learning_rate_multiplier: 'auto' } as const
  const of = (examples: number) => Object.values(settled('supervised', auto, examples))
  expect([2, 10, 40, 4000, 10_000, 60_000].map(of)).toEqual([
    [25, 2, 1],
    [10, 2, 1],
    [3, 2, 1],
    [3, 8, 1],
    [2, 16, 1],
    [1, 16, 1],
  ])
})
