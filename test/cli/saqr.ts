/** Runs a command line in this process: what it prints, and its exit code. */
import { run, type VerbEntry } from '../../src/cli/run.ts'
import type { Verb } from '../../src/cli/verb.ts'

export interface Result {
  code: number
  out: string
  err: string
}

export function commandLine(
  verbs: Readonly<Record<string, unknown>>,
  controller = new AbortController(),
  input?: NodeJS.ReadableStream,
): (...args: string[]) => Promise<Result> {
  const entries: VerbEntry[] = Object.entries(verbs).map(([name, verb]) => ({
    name,
    summary: (verb as Verb).summary,
    load: async () => verb as Verb,
  }))
  return async (...args) => {
    const texts = { out: '', err: '' }
    const stream = (name: 'out' | 'err') => ({ isTTY: false, columns: 100, write: (text: string) => void (texts[name] += text) })
    const code = await run(
      args,
      { out: stream('out'), err: stream('err'), signal: controller.signal, ...(input ? { input } : {}) },
      entries,
    )
    return { code, ...texts }
  }
}
