/**
 * `npm run bench:generate -- --model DIR [--device cuda] [--batch 1,16] [--prompt 128] [--new 128] [--load-in-4bit] [--python python3] [--out FILE]`
 *
 * Greedy answers of `--new` tokens to `--batch` prompts of random ids, as a program asks for them: tokens a second from the first token on, and
 * the time to it; beside transformers' `generate` on the same weights and prompts (--python: with torch and transformers), one after the other.
 * Both sides go through it once before they are timed. Models that stand in a folder without a tokenizer of text get one that only says which ids
 * there are.
 */
import { spawnSync } from 'node:child_process'
import { appendFileSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { FastLanguageModel, openDevice } from '../src/index.ts'
import { writeIdsTokenizer } from './ids-tokenizer.ts'

const { values } = parseArgs({
  options: {
    model: { type: 'string' },
    device: { type: 'string', default: 'cuda' },
    batch: { type: 'string', default: '1,16' },
    prompt: { type: 'string', default: '128' },
    new: { type: 'string', default: '128' },
    'load-in-4bit': { type: 'boolean', default: false },
    python: { type: 'string' },
    out: { type: 'string' },
  },
})
if (!values.model) {
  console.error('bench:generate needs --model: a folder with config.json and weights')
  process.exit(2)
}
const [promptTokens, newTokens] = [Number(values.prompt), Number(values.new)]
const work = mkdtempSync(join(tmpdir(), 'saqr-generate-'))
const given = resolve(values.model)
const folder = join(work, 'model')
const { vocab_size: vocab } = JSON.parse(readFileSync(join(given, 'config.json'), 'utf8')) as { vocab_size: number }
mkdirSync(folder)
for (const file of readdirSync(given))
  if (!/^tokenizer|special_tokens|generation_config/.test(file)) symlinkSync(join(given, file), join(folder, file))
writeIdsTokenizer(folder, vocab)

let state = 1
const id = () => {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0
  return Math.floor((state / 2 ** 32) * vocab)
}

interface Measured {
  who: string
  batch: number
  /** of all texts together, from the first token to the last */
  tokensPerSecond: number
  firstSeconds: number
  ids: number[][]
}

const device = await openDevice(values.device)
const { model } = await FastLanguageModel.fromPretrained(folder, { device, loadIn4bit: values['load-in-4bit'] })
const results: Measured[] = []
const cases = values.batch.split(',').map((batch) => Array.from({ length: Number(batch) }, () => Array.from({ length: promptTokens }, id)))
for (const prompts of cases) {
  let measured: Measured | undefined
  for (let round = 0; round < 2; round++) {
    const ids: number[][] = prompts.map(() => [])
    const began = performance.now()
    let first = 0
    let left = prompts.length
    for await (const { index, token } of model.generate(prompts, { maxNewTokens: newTokens, doSample: false })) {
      if (!token) continue
      if (ids[index]!.length === 0 && --left === 0) first = performance.now()
      ids[index]!.push(token.id)
    }
    const seconds = (performance.now() - first) / 1e3
    const batch = prompts.length
    measured = { who: 'saqr', batch, tokensPerSecond: (batch * (newTokens - 1)) / seconds, firstSeconds: (first - began) / 1e3, ids }
  }
  results.push(measured!)
}
const { label } = device.describe()
await model.dispose()
device.dispose()

if (values.python) {
  const request = join(work, 'request.json')
  writeFileSync(request, JSON.stringify({ folder, prompts: cases, newTokens, device: values.device, nf4: values['load-in-4bit'] }))
  const script = join(import.meta.dirname, 'hf_generate.py')
  const { stdout, stderr, status } = spawnSync(values.python, [script, request], { encoding: 'utf8', maxBuffer: 1 << 28 })
  if (status !== 0) throw new Error(stderr.slice(-2000))
  results.push(...(JSON.parse(stdout.trim().split('\n').at(-1)!) as Measured[]))
}
rmSync(work, { recursive: true })

/** share of the texts' first tokens, up to where they part, that are the same */
const alike = (a: number[][], b: number[][]) =>
  a.reduce((sum, ids, i) => sum + (ids.findIndex((x, k) => x !== b[i]![k]) + 1 || ids.length + 1) - 1, 0) / (a.length * a[0]!.length)

for (const { ids, ...r } of results) {
  const ours = results.find(({ who, batch }) => who === 'saqr' && batch === r.batch)!
  if (ids.some((text) => text.length !== newTokens)) throw new Error(`${r.who} ended a text early: other prompts are needed`)
  const line = JSON.stringify({ ...r, sameTokens: r.who === 'saqr' ? undefined : alike(ours.ids, ids), times: r.who === 'saqr' ? undefined : ours.tokensPerSecond / r.tokensPerSecond, model: given.split('/').at(-1), device: label, nf4: values['load-in-4bit'], promptTokens, newTokens }) // biome-ignore format: a line
  console.log(line)
  if (values.out) appendFileSync(values.out, `${line}\n`)
}
