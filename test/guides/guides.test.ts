/**
 * The guides hold: what a guide shows is its example (examples/NAME.ts, trl.yaml, rows/), and each of its commands runs as it is written, in its order,
 * on tiny models that lie in the Hub's cache under the names of the real ones.
 */
import { spawn } from 'node:child_process'
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { blocksOf } from './blocks.ts'
import { writeHub } from './hub.ts'

const root = join(import.meta.dirname, '../..')
const examples = join(root, 'examples')
const read = (path: string) => readFileSync(join(root, path), 'utf8')
const guides = readdirSync(join(root, 'docs/guides')).map((file) => basename(file, '.md'))
const programs = readdirSync(examples).filter((file) => file.endsWith('.ts'))

/** What is there when a guide's commands have run, and what they have said. */
const results: Readonly<Record<string, { files: readonly string[]; says: RegExp }>> = {
  'chat-data': { files: ['chat/checkpoint-30/adapter_model.safetensors'], says: /^5$/m },
  'continued-pretraining': {
    files: ['read-on-adapter/adapter_model.safetensors', 'read-on-merged/model.safetensors'],
    says: /tokens, 264 rows/,
  },
  dpo: { files: ['preferred-adapter/adapter_config.json', 'preferred/adapter_config.json'], says: /before, [\d.]+ after/ },
  'first-fine-tune': {
    files: ['falconer/adapter_model.safetensors', 'falconer-cli/saqr.json', 'falconer-cli/README.md', 'falconer-cli/loss.svg'],
    says: /mean loss \d/,
  },
  'from-openai': { files: ['tuned/adapter_config.json', 'tuned/tokenizer.json'], says: /rows of messages/ },
  'from-trl': { files: ['trl-out/adapter_config.json', 'trl-cli/checkpoint-10/trainer_state.json'], says: /10 steps in / },
  'from-unsloth': {
    files: ['lora_model/adapter_config.json', 'model/config.json', 'model_gguf/model_gguf.Q4_K_M.gguf'],
    says: /^\d+\.\d+$/m,
  },
  mixtures: { files: ['mixture-adapter/adapter_config.json', 'mixture-by-expert/adapter_config.json'], says: /trainable params/ },
  'new-tokens': {
    files: ['facts-adapter/adapter_model.safetensors', 'facts-merged/model.safetensors'],
    says: /^\[ 261, 262 \] beside 264 rows$/m,
  },
  'qlora-8gb': { files: ['qlora-adapter/adapter_model.safetensors'], says: /frozen weights[\s\S]*budget 7\.45 GiB[\s\S]*of 8000000000$/m },
  resume: {
    files: ['long-run/checkpoint-20/optimizer.safetensors'],
    says: /stopped after step 7; long-run\/checkpoint-7[\s\S]*finished at step 20/,
  },
  serve: { files: [], says: /^models: falconer\n[\s\S]*\S\n$/m },
  'to-llama-cpp': {
    files: ['falconer-gguf/falconer-gguf.Q4_K_M.gguf', 'falconer-gguf/Modelfile', 'falconer-gguf/README.md', 'falconer-lora.gguf'],
    says: /Q8_0\.gguf/,
  },
}

it('each guide has a program and each program a guide, and says what has to come of it', () => {
  expect(programs.map((file) => basename(file, '.ts'))).toEqual(guides)
  expect(Object.keys(results).sort()).toEqual([...guides].sort())
  for (const guide of guides) expect(read('docs/README.md')).toContain(`(guides/${guide}.md)`)
})

describe.each(guides)('docs/guides/%s.md', (guide) => {
  const blocks = blocksOf(read(`docs/guides/${guide}.md`))
  const of = (language: string) => blocks.filter((block) => block.language === language).map(({ text }) => text)

  it('its program, put together, is the example', () => {
    const lines = (text: string) => text.split('\n').filter((line) => line.trim() !== '')
    expect(lines(of('ts').join('\n'))).toEqual(lines(read(`examples/${guide}.ts`)))
  })

  it('rows and configurations are those of examples/', () => {
    const files = readdirSync(examples, { recursive: true, encoding: 'utf8' }).filter((file) =>
      /^[^/]+(\/[^/]+)?\.(jsonl?|yaml)$/.test(file),
    )
    const texts = files.map((file) => read(`examples/${file}`))
    for (const text of [...of('json'), ...of('yaml')])
      expect(
        texts.some((whole) => whole.includes(text.trim())),
        text,
      ).toBe(true)
  })

  it('shows nothing that neither runs nor is another’s', () => {
    const others = new Set(['console', 'python', 'text'])
    expect(blocks.map(({ language }) => language).filter((one) => !['ts', 'sh', 'json', 'yaml'].includes(one) && !others.has(one))).toEqual(
      [],
    )
    for (const line of of('console').join('\n').split('\n')) expect(line).not.toMatch(/\bsaqr (?!serve|chat|prove)|^node /)
  })
})

let folder = ''
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'saqr-guides-'))
  await writeHub(join(folder, 'hub'))
  mkdirSync(join(folder, 'bin'))
  const command = (name: string, line: string) => {
    writeFileSync(join(folder, 'bin', name), `#!/bin/sh\n${line}\n`)
    chmodSync(join(folder, 'bin', name), 0o755)
  }
  command('node', `exec "${process.execPath}" --import "${join(root, 'tools/ts.mjs')}" "$@"`)
  command('npx', `[ "$1" = saqr ] || exit 9; shift; exec "${process.execPath}" "${join(root, 'dist/command/main.js')}" "$@"`)
})
afterAll(() => rmSync(folder, { recursive: true }))

/** A place as a reader has it: the rows and the programs, saqr and the client installed. */
function workplace(guide: string): string {
  const place = join(folder, guide)
  // but not the packages that are programs of their own
  cpSync(examples, place, { recursive: true, filter: (path) => !/\/(nextjs|electron)$/.test(path) })
  mkdirSync(join(place, 'node_modules'))
  symlinkSync(root, join(place, 'node_modules/saqr'))
  symlinkSync(join(root, 'node_modules/openai'), join(place, 'node_modules/openai'))
  return place
}

function start(place: string, script: string) {
  const env = {
    PATH: `${join(folder, 'bin')}:${process.env.PATH}`,
    HOME: folder,
    HF_HOME: join(folder, 'hub'),
    HF_HUB_OFFLINE: '1',
    CUDA_VISIBLE_DEVICES: '', // the same everywhere
  }
  const child = spawn('bash', ['-euo', 'pipefail', '-c', script], { cwd: place, env, stdio: ['ignore', 'pipe', 'pipe'] })
  const said = { text: '' }
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (piece: string) => (said.text += piece))
  return { child, said, code: new Promise<number | null>((resolve) => child.on('close', resolve)) }
}

describe('the commands of', () => {
  it.each(guides)(
    '%s',
    async (guide) => {
      const place = workplace(guide)
      let server: ReturnType<typeof start> | undefined
      let address = ''
      let all = ''
      try {
        for (const { language, text } of blocksOf(read(`docs/guides/${guide}.md`))) {
          if (language !== 'sh') continue
          if (text.startsWith('npx saqr serve')) {
            server = start(place, `exec ${text.trim()} --port 0`)
            const { said } = server
            await expect.poll(() => said.text, { timeout: 30_000 }).toMatch(/http:\/\/127\.0\.0\.1:\d+[\s\S]*models/)
            address = /127\.0\.0\.1:\d+/.exec(said.text)![0]
            all += said.text
            continue
          }
          const one = start(place, text.replaceAll('127.0.0.1:8000', address))
          const code = await one.code
          expect(code, `${text}\n${one.said.text}`).toBe(0)
          all += one.said.text
        }
      } finally {
        server?.child.kill('SIGTERM')
        await server?.code
      }
      const { files, says } = results[guide]!
      expect(all).toMatch(says)
      for (const file of files) expect(existsSync(join(place, file)), file).toBe(true)
    },
    300_000,
  )
})
