/** A cache of the Hub with tiny models of random weights under the names that the guides write, so that a guide runs as it stands. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { SeededRandom } from '../../src/engine/random.ts'
import { bytesOf } from '../../src/formats/numbers.ts'
import { writeSafetensors } from '../../src/formats/safetensors/write.ts'
import { byteTokenizer, writeTinyModel } from '../cli/tiny-model.ts'

const COMMIT = '1'.repeat(40)
const [BEGIN, END, VOCAB] = [259, 260, 264]
const CHATML =
  "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{% if message['role'] == 'assistant' %}{% generation %}{{ message['content'] }}<|im_end|>{% endgeneration %}{% else %}{{ message['content'] }}<|im_end|>{% endif %}\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"

/** Writes the cache below `home`, which HF_HOME then names. */
export async function writeHub(home: string): Promise<void> {
  for (const name of [
    'HuggingFaceTB/SmolLM2-135M-Instruct',
    'meta-llama/Llama-3.1-8B-Instruct',
    'unsloth/Llama-3.2-1B',
    'Qwen/Qwen2.5-0.5B-Instruct',
  ]) {
    const folder = snapshot(home, name)
    await writeTinyModel(folder, { vocab: VOCAB })
    speaksChatml(folder)
  }
  await writeMixture(snapshot(home, 'Qwen/Qwen3-30B-A3B'))
}

function snapshot(home: string, name: string): string {
  const repository = join(home, 'hub', `models--${name.replace('/', '--')}`)
  const folder = join(repository, 'snapshots', COMMIT)
  mkdirSync(folder, { recursive: true })
  mkdirSync(join(repository, 'refs'), { recursive: true })
  writeFileSync(join(repository, 'refs/main'), COMMIT)
  return folder
}

/** A token a byte takes many positions, and a turn ends as ChatML's do. */
function speaksChatml(folder: string): void {
  const config = JSON.parse(readFileSync(join(folder, 'config.json'), 'utf8'))
  writeFileSync(join(folder, 'config.json'), JSON.stringify({ ...config, max_position_embeddings: 4096, eos_token_id: END }))
  const tokenizer = byteTokenizer()
  const special = (id: number, content: string) => ({ ...tokenizer.added_tokens[0]!, id, content })
  tokenizer.added_tokens.push(special(BEGIN, '<|im_start|>'), special(END, '<|im_end|>'))
  writeFileSync(join(folder, 'tokenizer.json'), JSON.stringify(tokenizer))
  writeFileSync(
    join(folder, 'tokenizer_config.json'),
    JSON.stringify({ tokenizer_class: 'PreTrainedTokenizerFast', eos_token: '<|im_end|>', chat_template: CHATML }),
  )
}

/** Qwen 3's mixture in the shapes of the fixture, with rows for these tokens. */
async function writeMixture(folder: string): Promise<void> {
  const fixture = join(import.meta.dirname, '../fixtures/families/qwen3-moe/model')
  const config = JSON.parse(readFileSync(join(fixture, 'config.json'), 'utf8'))
  writeFileSync(join(folder, 'config.json'), JSON.stringify({ ...config, vocab_size: VOCAB }))
  const bytes = readFileSync(join(fixture, 'model.safetensors'))
  const header = JSON.parse(bytes.subarray(8, 8 + Number(bytes.readBigUInt64LE(0))).toString())
  delete header.__metadata__
  const tensors = Object.entries(header as Record<string, { shape: number[] }>).map(([name, { shape }]) => {
    const sizes = /embed_tokens|lm_head/.test(name) ? [VOCAB, ...shape.slice(1)] : shape
    const random = new SeededRandom(1, name)
    const values = Float32Array.from({ length: sizes.reduce((a, b) => a * b, 1) }, () =>
      name.includes('norm') ? 1 : 0.3 * random.normal(),
    )
    return { name, dtype: 'F32' as const, shape: sizes, data: bytesOf(values) }
  })
  await writeSafetensors(join(folder, 'model.safetensors'), tensors)
  speaksChatml(folder)
}
