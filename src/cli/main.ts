#!/usr/bin/env node
/** The command `saqr`. Each verb is loaded when it is called, so that none waits for the others' code. */
import { standardError, textOutput } from '../track/output.ts'
import { run, type VerbEntry } from './run.ts'
import type { Io, Verb } from './verb.ts'

const verbs: VerbEntry[] = [
  {
    name: 'quickstart',
    summary: 'fine-tune a small model in a minute or two: asked before, trained, asked again',
    load: async () => (await import('./verbs/quickstart.ts')).quickstart as unknown as Verb,
  },
  {
    name: 'sft',
    summary: 'fine-tune a model on your rows',
    load: async () => (await import('./verbs/sft.ts')).sft as unknown as Verb,
  },
  {
    name: 'plan',
    summary: 'predict memory, work and time of a run; needs no weights and no rows',
    load: async () => (await import('./verbs/plan.ts')).plan as unknown as Verb,
  },
  {
    name: 'generate',
    summary: 'ask a model, or let it continue a text',
    load: async () => (await import('./verbs/generate.ts')).generate as unknown as Verb,
  },
  {
    name: 'doctor',
    summary: 'show what this machine has to train on, and how fast it is at most',
    load: async () => (await import('./verbs/doctor.ts')).doctor as unknown as Verb,
  },
]

/** The first Ctrl-C asks to stop, which saves a checkpoint; the second ends the process at once. A terminal that is closed (SIGHUP) asks too. */
function stopSignal(): AbortSignal {
  const controller = new AbortController()
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.once(name, () => {
      process.stderr.write(`\n${name}: stopping; once more ends at once\n`)
      controller.abort(new DOMException(`stopped by ${name}`, 'AbortError'))
      process.once(name, () => process.exit(130))
    })
  }
  return controller.signal
}

// a reader that has seen enough (`| head`) is no error
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(0)
  throw error
})

let signal: AbortSignal | undefined
const io: Io = {
  out: textOutput(process.stdout),
  err: standardError,
  // only a verb that asks for it can be stopped gently; the others end at once
  get signal() {
    signal ??= stopSignal()
    return signal
  },
}

run(process.argv.slice(2), io, verbs).then((code) => {
  process.exitCode = code
})
