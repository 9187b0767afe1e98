/** The command `saqr`. Each verb is loaded when it is called, so that none waits for the others' code. */
import { isatty } from 'node:tty'
import { standardError, textOutput } from '../track/output.ts'
import { parentGone } from './parent.ts'
import { INTERRUPTED, run, type VerbEntry } from './run.ts'
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
    name: 'dpo',
    summary: 'train a model towards the answers that people chose',
    load: async () => (await import('./verbs/dpo.ts')).dpo as unknown as Verb,
  },
  {
    name: 'orpo',
    summary: 'train a model on chosen answers and away from rejected ones, without a reference',
    load: async () => (await import('./verbs/orpo.ts')).orpo as unknown as Verb,
  },
  {
    name: 'kto',
    summary: 'train a model on answers that are each rated as wanted or not',
    load: async () => (await import('./verbs/kto.ts')).kto as unknown as Verb,
  },
  {
    name: 'cpo',
    summary: 'train a model towards chosen answers without a reference (CPO, SimPO)',
    load: async () => (await import('./verbs/cpo.ts')).cpo as unknown as Verb,
  },
  {
    name: 'data',
    summary: 'show rows as they would be trained on: their shape, tokens, what is learned, what is cut',
    load: async () => (await import('./verbs/data.ts')).data as unknown as Verb,
  },
  {
    name: 'prove',
    summary: 'run your TRL configuration in TRL and in saqr, and show that both do the same, and how fast',
    load: async () => (await import('./verbs/prove.ts')).prove as unknown as Verb,
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
    name: 'export',
    summary: 'write a trained model as GGUF files, merged, or as a PEFT adapter',
    load: async () => (await import('./verbs/export.ts')).exportModel as unknown as Verb,
  },
  {
    name: 'push',
    summary: 'upload a model’s folder to the Hugging Face Hub',
    load: async () => (await import('./verbs/push.ts')).push as unknown as Verb,
  },
  {
    name: 'chat',
    summary: 'talk with a model in the terminal, with its adapter and without',
    load: async () => (await import('./verbs/chat.ts')).chat as unknown as Verb,
  },
  {
    name: 'serve',
    summary: 'answer over HTTP as OpenAI’s API does, on this machine',
    load: async () => (await import('./verbs/serve.ts')).serve as unknown as Verb,
  },
  {
    name: 'doctor',
    summary: 'show what this machine has to train on, and how fast it is at most',
    load: async () => (await import('./verbs/doctor.ts')).doctor as unknown as Verb,
  },
]

/** The terminal stays in its own mode, so that Ctrl-C at the question ends the process as ever. */
async function ask(question: string): Promise<string> {
  const { createInterface } = await import('node:readline')
  const lines = createInterface({ input: process.stdin, output: process.stderr, terminal: false })
  process.stderr.write(question)
  try {
    for await (const line of lines) return line
    return ''
  } finally {
    lines.close()
  }
}

let stopper: AbortController | undefined

/**
 * The first Ctrl-C asks to stop, which saves a checkpoint; the second ends the process at once. A terminal that is closed asks too, and may do
 * so more than once (SIGHUP from the kernel and from the shell).
 */
function stopSignal(): AbortSignal {
  const controller = new AbortController()
  stopper = controller
  const stop = (name: string) => controller.abort(new DOMException(`stopped by ${name}`, 'AbortError'))
  for (const name of ['SIGINT', 'SIGTERM'] as const) {
    process.once(name, () => {
      process.stderr.write(`\n${name}: stopping; once more ends at once\n`)
      stop(name)
      process.once(name, () => process.exit(130))
    })
  }
  process.on('SIGHUP', () => stop('SIGHUP'))
  return controller.signal
}

/** A reader that has seen enough (`| head`) or a terminal that is closed is no error: what is under way is saved, if it can be. */
function gone(error: NodeJS.ErrnoException): void {
  if (error.code !== 'EPIPE' && error.code !== 'EIO') throw error
  if (stopper === undefined) process.exit(0)
  stopper.abort(new DOMException('nobody reads the output any more', 'AbortError'))
}
process.stdout.on('error', gone)
process.stderr.on('error', gone)

// Where a program started it by fork() and is gone, nobody waits for it: it asks as a closed terminal does. This alone keeps no process.
async function parted(): Promise<void> {
  if (!(await parentGone())) return
  if (stopper === undefined) process.exit(INTERRUPTED)
  stopper.abort(new DOMException('whoever started it is gone', 'AbortError'))
}
// before a line of this was read; Bun says `false` of a process that never had a channel, too
if (process.channel !== undefined && process.connected === false) void parted()
else process.once('disconnect', parted)
process.channel?.unref()

const io: Io = {
  out: textOutput(process.stdout),
  err: standardError,
  // a stream of what comes in is made where somebody reads it
  ask: isatty(0) && isatty(2) ? ask : undefined,
  // only a verb that asks for it can be stopped gently; the others end at once
  get signal() {
    return stopper?.signal ?? stopSignal()
  },
}

export async function main(args: readonly string[]): Promise<void> {
  process.exitCode = await run(args, io, verbs)
}
