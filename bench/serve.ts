/**
 * First token and time between tokens of a running `saqr serve`, one stream alone and many at once.
 *   node --import ./tools/ts.mjs bench/serve.ts --url http://127.0.0.1:8000/v1 --key K --model M [--streams 32] [--tokens 64]
 */
import { performance } from 'node:perf_hooks'
import { parseArgs } from 'node:util'

const { values } = parseArgs({
  options: {
    url: { type: 'string', default: 'http://127.0.0.1:8000/v1' },
    key: { type: 'string', default: '' },
    model: { type: 'string', default: '' },
    streams: { type: 'string', default: '32' },
    tokens: { type: 'string', default: '64' },
  },
})

interface Stream {
  /** ms to the first piece of text, and the longest between two */
  first: number
  gap: number
  pieces: number
  whole: number
}

async function stream(i: number): Promise<Stream> {
  const messages = [{ role: 'user', content: `Write ${i + 2} sentences about the sea, the wind, old towns and the birds that live there.` }]
  const body = JSON.stringify({ model: values.model, messages, stream: true, max_tokens: Number(values.tokens), temperature: 0 })
  const began = performance.now()
  const headers = { authorization: `Bearer ${values.key}` }
  const response = await fetch(`${values.url}/chat/completions`, { method: 'POST', body, headers })
  if (!response.ok) throw new Error(await response.text())
  const at: number[] = []
  for await (const part of response.body!.pipeThrough(new TextDecoderStream()))
    for (const line of part.split('\n')) if (/"content":"[^"]/.test(line)) at.push(performance.now() - began)
  const gaps = at.slice(1).map((t, n) => t - at[n]!)
  return { first: at[0]!, gap: Math.max(...gaps), pieces: at.length, whole: performance.now() - began }
}

const median = (x: number[]) => [...x].sort((a, b) => a - b)[x.length >> 1]!
const ms = (x: number) => `${x.toFixed(0)} ms`

await stream(100)
const alone: Stream[] = []
for (let i = 0; i < 3; i++) alone.push(await stream(200 + i))
const one = median(alone.map(({ first }) => first))
console.log(`alone: first token ${ms(one)}, ${((alone[0]!.pieces / alone[0]!.whole) * 1e3).toFixed(1)} pieces a second`)

// while others run: who comes then waits for a round and its own prompt
const count = Number(values.streams)
const running = Array.from({ length: count - 1 }, (_, i) => stream(i))
await new Promise((resolve) => setTimeout(resolve, 1.5 * one * count))
const late = await stream(count)
console.log(`beside ${count - 1} that run: first token ${ms(late.first)} (${(late.first / one).toFixed(1)} times alone)`)
await Promise.all(running)

const began = performance.now()
const all = await Promise.all(Array.from({ length: count }, (_, i) => stream(300 + i)))
const seconds = (performance.now() - began) / 1e3
const firsts = all.map(({ first }) => first)
console.log(
  `${count} at once: first token ${ms(Math.min(...firsts))} to ${ms(Math.max(...firsts))} (median ${ms(median(firsts))}, ${(Math.max(...firsts) / one).toFixed(1)} times alone at most)`,
)
console.log(
  `  longest gap ${ms(Math.max(...all.map(({ gap }) => gap)))}, ${(all.reduce((n, { pieces }) => n + pieces, 0) / seconds).toFixed(1)} pieces a second in all`,
)
