/**
 * `npm run bench:rows -- --tokenizer FOLDER --data alpaca.json [--rows 52002] [--python python3] [--processes 2] [--rounds 3]`
 *
 * Rows a second of preparing: rows of Alpaca, repeated to so many, as texts, tokenised and cut to 1,024 tokens, here and by TRL's SFTTrainer (--python: with
 * trl, datasets and torch), in turns. FOLDER holds tokenizer.json and tokenizer_config.json. Both make the same number of tokens, or it ends with an error.
 */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { alpacaPrompt } from '../src/data/alpaca.ts'
import { Dataset } from '../src/data/dataset.ts'
import { prepare } from '../src/data/prepare.ts'
import { Tokenizer } from '../src/text/tokenizer.ts'

const { values } = parseArgs({
  options: {
    tokenizer: { type: 'string' },
    data: { type: 'string' },
    rows: { type: 'string', default: '52002' },
    python: { type: 'string' },
    processes: { type: 'string', default: '2' },
    rounds: { type: 'string', default: '3' },
  },
})
if (!values.tokenizer || !values.data) {
  console.error('bench:rows needs --tokenizer, a folder, and --data: rows of instruction, input and output')
  process.exit(2)
}
const { tokenizer: folder, python, processes } = values
const read = (file: string) => JSON.parse(readFileSync(file, 'utf8'))
const tokenizer = new Tokenizer({
  tokenizerJson: read(join(folder, 'tokenizer.json')),
  tokenizerConfig: read(join(folder, 'tokenizer_config.json')),
})
const alpaca = read(values.data) as { instruction: string; input?: string; output: string }[]
const rows = Array.from({ length: Number(values.rows) }, (_, i) => {
  const { instruction, input = '', output } = alpaca[i % alpaca.length]!
  return { text: alpacaPrompt(instruction, input) + output }
})
const work = mkdtempSync(join(tmpdir(), 'saqr-rows-'))
const file = join(work, 'rows.jsonl')
writeFileSync(file, rows.map((row) => JSON.stringify(row)).join('\n'))

async function ours() {
  const before = process.memoryUsage.rss()
  const begun = performance.now()
  const { examples } = await prepare(new Dataset(rows), tokenizer, { maxLength: 1024 })
  const seconds = (performance.now() - begun) / 1e3
  const tokens = examples.reduce((sum, { ids }) => sum + ids.length, 0)
  return { who: 'saqr', seconds, rows: rows.length, tokens, grownMiB: Math.round((process.memoryUsage.rss() - before) / 2 ** 20) }
}

function trl() {
  const args = [join(import.meta.dirname, 'trl_rows.py'), folder!, file, processes]
  const { stdout, stderr, status } = spawnSync(python!, args, { encoding: 'utf8', maxBuffer: 1 << 26 })
  if (status !== 0) throw new Error(stderr.slice(-2000))
  return { who: `TRL, ${processes} processes`, ...JSON.parse(stdout.trim().split('\n').at(-1)!) }
}

for (let round = 0; round < Number(values.rounds); round++) {
  const all = [await ours(), ...(python ? [trl()] : [])]
  for (const one of all) console.log(JSON.stringify({ ...one, rowsPerSecond: Math.round(one.rows / one.seconds) }))
  if (all.some(({ tokens }) => tokens !== all[0]!.tokens)) throw new Error('they made different tokens')
}
rmSync(work, { recursive: true })
