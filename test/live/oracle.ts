/** Runs an oracle (tools/oracle/*.py) by warm.ts's Python and says where its files lie. */
import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, inject } from 'vitest'

const root = join(import.meta.dirname, '../..')
/** llama.cpp's shared libraries, node-llama-cpp's: .ci/run puts them there */
export const libraries = join(root, '.venv/llama/node_modules/@node-llama-cpp/linux-x64/bins/linux-x64')

/** The folder that `python tools/oracle/<script>.py FOLDER …args` wrote; it goes when the test file ends. */
export async function oracle(script: string, ...args: string[]): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), `saqr-${script}-`))
  afterAll(() => rmSync(folder, { recursive: true }))
  await oracleInto(folder, script, ...args)
  return folder
}

/** Runs it into a folder that is there. Without blocking: vitest's worker has to answer while Python computes. */
export async function oracleInto(folder: string, script: string, ...args: string[]): Promise<void> {
  const child = spawn(inject('python'), [join(root, `tools/oracle/${script}.py`), folder, ...args], {
    cwd: root,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text: string) => (output += text))
  const code = await new Promise<number | null>((resolve, reject) => child.on('error', reject).on('close', resolve))
  if (code !== 0) throw new Error(`tools/oracle/${script}.py failed (${code}):\n${output.slice(-4000)}`)
}
