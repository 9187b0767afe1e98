/**
 * First tokens of the scheduler that `saqr serve` answers by, without HTTP, in CPU seconds of the process over its threads: what they take on a
 * machine that does nothing else, and the same on one that is busy.
 *   npm run bench:first-tokens -- --model M [--streams 32] [--system 300] [--threads N] [--saqr DIR]
 * One text alone, one that comes while the others go on, all at once, with beginnings of their own and with one of --system tokens. --saqr: a
 * checkout's dist/ to measure instead of this one's, for before and after in turns.
 */
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'

const { values } = parseArgs({
  options: {
    model: { type: 'string' },
    streams: { type: 'string', default: '32' },
    system: { type: 'string', default: '300' },
    threads: { type: 'string' },
    saqr: { type: 'string', default: join(import.meta.dirname, '../dist') },
  },
})
if (!values.model) {
  console.error('bench/first-tokens.ts needs --model: a folder or a .gguf file')
  process.exit(2)
}
type Own = typeof import('../src/devices/open.ts') &
  typeof import('../src/engine/open-base.ts') &
  typeof import('../src/engine/language-model.ts') &
  typeof import('../src/serve/scheduler.ts') &
  typeof import('../src/generate/sample.ts')
const parts = ['devices/open', 'engine/open-base', 'engine/language-model', 'serve/scheduler', 'generate/sample']
const { openDevice, openBase, LanguageModel, Scheduler, Sampler }: Own = Object.assign(
  {},
  ...(await Promise.all(parts.map((part) => import(resolve(values.saqr, `${part}.js`))))),
)

const threads = values.threads === undefined ? undefined : Number(values.threads)
const device = await openDevice('cpu', { threads })
const choice = () => ({ dtype: 'bf16' as const, loadIn4bit: false, doubleQuant: false })
const { opened } = await openBase(resolve(values.model), device, { choice })
const model = new LanguageModel(opened, { kind: 'none' }, 0)
const over = device.describe().threads ?? 1
const count = Number(values.streams)

let state = 1
const id = () => {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0
  return 100 + (state % (model.opened.model.vocab - 200))
}
const ids = (length: number) => Array.from({ length }, id)
/** of 30 to 60 tokens, as chat questions are */
const question = (i: number) => ids(30 + ((7 * i) % 31))

const clock = () => {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1e3 / over
}

interface Answer {
  /** ms to the first token, and the longest between two */
  first: number
  gap: number
  ended: Promise<unknown>
}

function ask(scheduler: InstanceType<Own['Scheduler']>, prompt: number[], maxNewTokens: number): Answer {
  const began = clock()
  let last = 0
  const answer: Answer = { first: 0, gap: 0, ended: Promise.resolve() }
  answer.ended = scheduler.answer(model, {
    prompt,
    sampler: new Sampler(prompt, {}),
    stop: new Set(),
    maxNewTokens,
    signal: new AbortController().signal,
    take: () => {
      const now = clock()
      if (last === 0) answer.first = now - began
      else answer.gap = Math.max(answer.gap, now - last)
      last = now
      return true
    },
  })
  return answer
}

const median = (x: number[]) => [...x].sort((a, b) => a - b)[x.length >> 1]!
const ms = (x: number) => `${x.toFixed(0)} ms`

for (const system of [0, Number(values.system)]) {
  console.log(system === 0 ? 'beginnings of their own' : `a beginning of ${system} tokens in common`)
  const beginning = ids(system)
  const prompt = (i: number) => [...beginning, ...question(i)]
  const scheduler = new Scheduler([model])
  // plans are made once, and of a common beginning the first text alone pays
  await ask(scheduler, prompt(0), 4).ended
  await Promise.all(Array.from({ length: count }, (_, i) => ask(scheduler, prompt(i), 3).ended))
  const alone: number[] = []
  for (let i = 0; i < 5; i++) {
    const one = ask(scheduler, prompt(i), 1)
    await one.ended
    alone.push(one.first)
  }
  const one = median(alone)
  console.log(`  alone: ${ms(one)}`)
  const times = (x: number) => `${ms(x)} (${(x / one).toFixed(1)} times alone)`

  const running = Array.from({ length: count - 1 }, (_, i) => ask(scheduler, prompt(i), 24))
  while (running.some(({ first }) => first === 0)) await new Promise((done) => setTimeout(done, 5))
  const late: number[] = []
  for (let i = 0; i < 5; i++) {
    const one = ask(scheduler, prompt(i), 1)
    await one.ended
    late.push(one.first)
  }
  console.log(`  while ${count - 1} go on: ${times(median(late))}`)
  await Promise.all(running.map(({ ended }) => ended))

  if (system > 0) beginning.splice(0, system, ...ids(system)) // nobody has read it yet
  const all = Array.from({ length: count }, (_, i) => ask(scheduler, prompt(i), 8))
  await Promise.all(all.map(({ ended }) => ended))
  const firsts = all.map(({ first }) => first)
  console.log(
    `  ${count} at once: ${ms(Math.min(...firsts))}, median ${times(median(firsts))}, last ${times(Math.max(...firsts))}; longest gap ${ms(Math.max(...all.map(({ gap }) => gap)))}`,
  )
  await scheduler.dispose()
}
device.dispose()
