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
  const folder = mkdtempSync(join(tmpdir(), 'saqr-python-'))
  const [program, socket, script] = [join(folder, 'python'), join(folder, 'socket'), join(root, 'tools/oracle/warm.py')]
  const server = spawn(python, [script, 'serve', socket], { stdio: ['pipe', 'pipe', 'inherit'] })
  const ended = once(server, 'close')
  await Promise.race([once(server.stdout, 'data'), ended])
  // no packages: the one that asks starts in milliseconds
  writeFileSync(program, `#!/bin/sh\nexec '${python}' -S '${script}' run '${socket}' "$@"\n`, { mode: 0o755 })
  provide('python', program)
  return async () => {
    server.stdin.end()
    await ended
    rmSync(folder, { recursive: true })
  }
}
