/**
 * First token and time between tokens of a running `saqr serve`: one stream alone, one that comes while others stream, and many at once, with
 * prompts that have nothing in common but the template, and with one system message (--system tokens, roughly) before all of them.
 *   node --import ./tools/ts.mjs bench/serve.ts --url http://127.0.0.1:8000/v1 --key K --model M [--streams 32] [--tokens 64]
 * --rows A.jsonl: a model without a chat template (the quickstart's) is asked these rows' prompts as they are, and no system message; --rounds: of many at once.
 */
import { readFileSync } from 'node:fs'
import { performance } from 'node:perf_hooks'
import { parseArgs } from 'node:util'

const { values } = parseArgs({
  options: {
    url: { type: 'string', default: 'http://127.0.0.1:8000/v1' },
    key: { type: 'string', default: '' },
    model: { type: 'string', default: '' },
    streams: { type: 'string', default: '32' },
    tokens: { type: 'string', default: '64' },
    system: { type: 'string', default: '600' },
    rows: { type: 'string' },
    rounds: { type: 'string', default: '1' },
  },
})

interface Stream {
  /** ms to the first piece of text, and the longest between two */
  first: number
  gap: number
  pieces: number
  whole: number
}

const rows = values.rows ? readFileSync(values.rows, 'utf8').trim().split('\n').map((line) => JSON.parse(line).prompt as string) : null // biome-ignore format: a line

/** what request i asks of which path */
function asked(i: number, system: string): [string, object] {
  if (rows) return ['completions', { prompt: rows[i % rows.length] }]
  const question = {
    role: 'user',
    content: `${i + 2} sentences, please, about the sea, the wind, old towns and the birds that live there.`,
  }
  // where no system message is given, some templates have one of their own, which all prompts would begin with
  const messages = [{ role: 'system', content: system || `${i} is your number.` }, question]
  return ['chat/completions', { messages }]
}

async function stream(i: number, system = ''): Promise<Stream> {
  const [path, question] = asked(i, system)
  const body = JSON.stringify({ model: values.model, ...question, stream: true, max_tokens: Number(values.tokens), temperature: 0 })
  const began = performance.now()
  const headers = { authorization: `Bearer ${values.key}` }
  const response = await fetch(`${values.url}/${path}`, { method: 'POST', body, headers })
  if (!response.ok) throw new Error(await response.text())
  const at: number[] = []
  for await (const part of response.body!.pipeThrough(new TextDecoderStream()))
    for (const line of part.split('\n')) if (/"(content|text)":"[^"]/.test(line)) at.push(performance.now() - began)
  const gaps = at.slice(1).map((t, n) => t - at[n]!)
  return { first: at[0]!, gap: Math.max(...gaps), pieces: at.length, whole: performance.now() - began }
}

const median = (x: number[]) => [...x].sort((a, b) => a - b)[x.length >> 1]!
const ms = (x: number) => `${x.toFixed(0)} ms`

const count = Number(values.streams)

async function alone(system: string): Promise<number> {
  await stream(100, system)
  const all: Stream[] = []
  for (let i = 0; i < 9; i++) all.push(await stream(200 + i, system))
  const first = median(all.map(({ first }) => first))
  console.log(`  alone: first token ${ms(first)}, ${((all[0]!.pieces / all[0]!.whole) * 1e3).toFixed(1)} pieces a second`)
  return first
}

async function atOnce(one: number, system: string, from: number): Promise<void> {
  const began = performance.now()
  const all = await Promise.all(Array.from({ length: count }, (_, i) => stream(from + i, system)))
  const seconds = (performance.now() - began) / 1e3
  const firsts = all.map(({ first }) => first)
  const most = Math.max(...firsts)
  console.log(
    `  ${count} at once: first token ${ms(Math.min(...firsts))} to ${ms(most)} (median ${ms(median(firsts))}), at most ${(most / one).toFixed(1)} times alone`,
  )
  console.log(
    `    longest gap ${ms(Math.max(...all.map(({ gap }) => gap)))}, ${(all.reduce((n, { pieces }) => n + pieces, 0) / seconds).toFixed(1)} pieces a second in all`,
  )
}

console.log('prompts of their own')
const one = await alone('')
// who comes while others run waits for a round of theirs and for its own prompt
let going = true
const rest = Array.from({ length: count - 1 }, async (_, i) => {
  // an answer that ends early is followed by another
  for (let n = i; going; n += count) await stream(n)
})
await new Promise((resolve) => setTimeout(resolve, one * count))
const late: number[] = []
for (let i = 0; i < 9; i++) late.push((await stream(600 + i)).first)
going = false
console.log(
  `  beside ${count - 1} that run: first token ${ms(median(late))} (${(median(late) / one).toFixed(1)} times alone), at most ${ms(Math.max(...late))}`,
)
await Promise.all(rest)
for (let i = 0; i < Number(values.rounds); i++) await atOnce(one, '', 300 + i * count)
if (rows) process.exit()

const rule = 'Answer politely, shortly and in whole sentences, and say so where you do not know. '
const system = rule.repeat(Math.round(Number(values.system) / 18))
console.log(`one system message of about ${values.system} tokens before all of them`)
await atOnce(await alone(system), system, 400)
