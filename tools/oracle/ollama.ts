/**
 * What Ollama makes of the Modelfiles that saqr writes: the prompts that it renders, how many tokens they are to it, and the parameters that it has read.
 * A server runs (`ollama serve`, OLLAMA_HOST as Ollama reads it), and `ollama` is in the path.
 *
 *     node --import ./tools/ts.mjs tools/oracle/ollama.ts test/fixtures/ollama/rendered.json
 */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { FastLanguageModel } from '../../src/index.ts'
import { writeTinyModel } from '../../test/cli/tiny-model.ts'
import { asked, GENERATION, TEMPLATES } from '../../test/export/chat-templates.ts'

const host = process.env.OLLAMA_HOST ?? '127.0.0.1:11434'
const NAME = 'saqr-recorded'

async function said(path: string, body?: object): Promise<Record<string, unknown>> {
  const answer = await fetch(`http://${host}${path}`, body && { method: 'POST', body: JSON.stringify(body) })
  const json = (await answer.json()) as { error?: string }
  if (!answer.ok || json.error) throw new Error(`${path}: ${json.error ?? answer.status}`)
  return json as Record<string, unknown>
}

const folder = mkdtempSync(join(tmpdir(), 'saqr-ollama-'))
const at = (name: string) => join(folder, name)
try {
  await writeTinyModel(at('model'))
  const config = JSON.parse(readFileSync(at('model/config.json'), 'utf8'))
  writeFileSync(at('model/config.json'), JSON.stringify({ ...config, max_position_embeddings: 1024 })) // Ollama drops turns beyond it
  writeFileSync(at('model/generation_config.json'), JSON.stringify(GENERATION))
  const files: Record<string, object> = {}
  for (const [name, { source, place }] of Object.entries(TEMPLATES)) {
    const options = { device: 'cpu', loadIn4bit: false, chatTemplate: source } as const
    const { model } = await FastLanguageModel.fromPretrained(at('model'), options)
    await model.savePretrainedGguf(at('recorded'), { quantizationMethod: 'f16', check: false })
    await model.dispose()
    execFileSync('ollama', ['create', NAME, '-f', 'Modelfile'], { cwd: at('recorded'), stdio: 'ignore' })
    const { template, parameters } = await said('/api/show', { model: NAME })
    const rendered: object[] = []
    for (const messages of asked(place)) {
      const request = { model: NAME, messages, stream: false, options: { num_predict: 1, num_ctx: 1024 } }
      const { _debug_info: debug } = await said('/api/chat', { ...request, _debug_render_only: true })
      const { prompt_eval_count: tokens } = await said('/api/chat', request)
      rendered.push({ text: (debug as { rendered_template: string }).rendered_template, tokens })
    }
    files[name] = { modelfile: readFileSync(at('recorded/Modelfile'), 'utf8'), shown: { template, parameters }, rendered }
  }
  const { version } = await said('/api/version')
  writeFileSync(process.argv[2]!, `${JSON.stringify({ ollama: version, files }, null, 1)}\n`)
} finally {
  rmSync(folder, { recursive: true })
}
