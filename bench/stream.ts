/**
 * `npm run bench:stream -- --tokenizer FOLDER --data rows.jsonl`
 *
 * Memory of rows that stay on disk: opened, prepared, gone through and drawn as a run does it. After each step what the whole process holds, and the most it
 * held meanwhile (Linux). FOLDER holds tokenizer.json and tokenizer_config.json.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { loadDataset } from '../src/data/dataset.ts'
import { prepare } from '../src/data/prepare.ts'
import { Sampler } from '../src/data/sampler.ts'
import { Tokenizer } from '../src/text/tokenizer.ts'
import { bounds } from '../src/train/data.ts'

const { values } = parseArgs({
  options: { tokenizer: { type: 'string' }, data: { type: 'string' }, length: { type: 'string', default: '1024' } },
})
const { tokenizer: folder, data } = values
if (!folder || !data) {
  console.error('bench:stream needs --tokenizer, a folder, and --data: a file of rows')
  process.exit(2)
}

const MiB = (kib: string | undefined) => Math.round(Number(kib) / 1024)
let begun = performance.now()
let cpu = process.cpuUsage()
function tell(step: string): void {
  const status = readFileSync('/proc/self/status', 'utf8')
  const of = (name: string) => MiB(status.match(new RegExp(`${name}:\\s+(\\d+)`))?.[1])
  const { user, system } = process.cpuUsage(cpu)
  const { heapUsed, heapTotal, arrayBuffers } = process.memoryUsage()
  const whole = (bytes: number) => Math.round(bytes / 2 ** 20)
  console.log(
    JSON.stringify({
      step,
      seconds: Number(((performance.now() - begun) / 1e3).toFixed(1)),
      cpu: Number(((user + system) / 1e6).toFixed(1)),
      heldMiB: of('VmRSS'),
      mostMiB: of('VmHWM'),
      heapMiB: [whole(heapUsed), whole(heapTotal)],
      arraysMiB: whole(arrayBuffers),
    }),
  )
  writeFileSync('/proc/self/clear_refs', '5') // the most is counted anew
  begun = performance.now()
  cpu = process.cpuUsage()
}

tell('code')
const read = (file: string) => JSON.parse(readFileSync(join(folder!, file), 'utf8'))
const tokenizer = new Tokenizer({ tokenizerJson: read('tokenizer.json'), tokenizerConfig: read('tokenizer_config.json') })
tell('tokenizer')
const dataset = await loadDataset(data, { streaming: true })
tell(`opened ${dataset.length} rows`)
const { examples } = await prepare(dataset, tokenizer, { maxLength: Number(values.length) })
tell('prepared')
const { longest } = bounds(examples, 8)
tell(`longest ${longest}`)
const sampler = new Sampler({ rows: examples.length, batchSize: 8, accumulationSteps: 1, seed: 42 })
let tokens = 0
for (let step = 0; step < 1000; step++) for (const batch of sampler.batches(step)) for (const i of batch) tokens += examples[i]!.ids.length
tell(`1000 batches of 8 at random: ${tokens} tokens`)
tokens = 0
for (const { ids } of examples) tokens += ids.length
tell(`all ${tokens} tokens`)
