// Prepares a file of token ids and goes through it:  node streaming-child.mjs FILE true|false. Says by how many MB memory grew at the most.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { loadDataset } from '../../dist/data/load.js'
import { prepare } from '../../dist/data/prepare.js'
import { Tokenizer } from '../../dist/text/tokenizer.js'

const [path, streaming] = process.argv.slice(2)
const fixture = join(import.meta.dirname, '../fixtures/data/tokenizers/smollm-like')
const read = (name) => JSON.parse(readFileSync(join(fixture, name), 'utf8'))
const tokenizer = new Tokenizer({ tokenizerJson: read('tokenizer.json'), tokenizerConfig: read('tokenizer_config.json') })
tokenizer.encode('the cat')
const peak = () => process.resourceUsage().maxRSS / 1024
const before = peak()
const { examples } = await prepare(await loadDataset(path, { streaming: streaming === 'true' }), tokenizer)
const tokens = examples.reduce((sum, { ids }) => sum + ids.length, 0)
process.stdout.write(JSON.stringify({ rows: examples.length, tokens, grownMB: Math.round(peak() - before) }))
