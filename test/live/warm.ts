/** The Python that live tests run scripts by: forks of one that has loaded what they import (tools/oracle/warm.py). */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestProject } from 'vitest/node'

declare module 'vitest' {
  interface ProvidedContext {
    /** a program that takes what Python's would: a script and its arguments */
    python: string
  }
}

const root = join(import.meta.dirname, '../..')
const python = join(root, '.venv/bin/python')

export default async function setup({ provide }: TestProject) {
  if (!existsSync(python)) throw new Error(`there is no ${python}: .ci/run makes it`)
  const { program, end } = await warmPython(join(root, 'tools/oracle/warm.py'))
  provide('python', program)
  return end
}

/**
 * Starts the one that serves.
 * @returns the program that asks it, and what ends it
 * @throws Error where it ended at once
 */
export async function warmPython(script: string): Promise<{ program: string; end: () => Promise<void> }> {
  const folder = mkdtempSync(join(tmpdir(), 'saqr-python-'))
  const [program, socket] = [join(folder, 'python'), join(folder, 'socket')]
  // -B: no byte code beside the scripts that it reads, some of which are published (assets/)
  const server = spawn(python, ['-B', script, 'serve', socket], { stdio: ['pipe', 'pipe', 'inherit'] })
  const ended = once(server, 'close')
  const [said] = await Promise.race([once(server.stdout, 'data'), ended])
  if (!Buffer.isBuffer(said)) {
    rmSync(folder, { recursive: true })
    throw new Error(`${script} ended (${said ?? server.signalCode}) before it served`)
  }
  // no packages: the one that asks starts in milliseconds
  writeFileSync(program, `#!/bin/sh\nexec '${python}' -S '${script}' run '${socket}' "$@"\n`, { mode: 0o755 })
  const end = async () => {
    server.stdin.end()
    await ended
    rmSync(folder, { recursive: true })
  }
  return { program, end }
}
