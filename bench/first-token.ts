/**
 * `npm run bench:first-token -- --model A.gguf [--before DIST/command/main.js] [--runs 15]`
 *
 * What the first token of `saqr generate` takes from the start of the command, the weights in the page cache: until its text is out, and the
 * processor seconds of the whole process (Linux: of children waited for, in hundredths). --before: another checkout's command, in turns with this one;
 * bare: Node with nothing to do.
 */
import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'

const { values } = parseArgs({
  options: { model: { type: 'string' }, before: { type: 'string' }, runs: { type: 'string', default: '15' } },
})
if (!values.model) {
  console.error('bench:first-token needs --model: a .gguf file or a folder with a model')
  process.exit(2)
}

/** of children: user, system, in seconds */
function spent(): [number, number] {
  const fields = readFileSync('/proc/self/stat', 'utf8').split(') ')[1]!.split(' ')
  return [Number(fields[13]) / 100, Number(fields[14]) / 100]
}

interface Run {
  first: number
  user: number
  system: number
}

// Node before 22 reads and parses these certificates whenever it starts, 50 to 100 ms of a machine's own
const env = { ...process.env }
delete env.NODE_EXTRA_CA_CERTS

const generate = ['generate', '--model_name_or_path', resolve(values.model), '--use_cpu', '--max_new_tokens', '1', 'hello']

async function run(args: readonly string[]): Promise<Run> {
  const before = spent()
  const began = performance.now()
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'], env })
  let first = 0
  child.stdout.once('data', () => (first = (performance.now() - began) / 1e3))
  const code = await new Promise((done) => child.on('close', done))
  if (code !== 0) throw new Error(`${args.join(' ')} ended with ${code}`)
  const [user, system] = spent()
  return { first, user: user - before[0], system: system - before[1] }
}

const commands = {
  bare: ['-e', 'console.log()'],
  ...(values.before ? { before: [resolve(values.before), ...generate] } : {}),
  now: [join(import.meta.dirname, '../dist/command/main.js'), ...generate],
}
const runs = Object.fromEntries(Object.keys(commands).map((name) => [name, [] as Run[]]))
for (const args of Object.values(commands)) await run(args)
for (let i = 0; i < Number(values.runs); i++) for (const [name, args] of Object.entries(commands)) runs[name]!.push(await run(args))

console.log(`${values.runs} runs each, in turns, Node ${process.version}: median [least, most] seconds`)
for (const [name, list] of Object.entries(runs)) {
  const line = (of: (run: Run) => number) => {
    const x = list.map(of).sort((a, b) => a - b)
    return [x[x.length >> 1]!, x[0]!, x.at(-1)!].map((s) => s.toFixed(2))
  }
  const [first, user, system] = [line((r) => r.first), line((r) => r.user), line((r) => r.system)]
  const text = ([middle, least, most]: string[]) => `${middle} [${least}, ${most}]`
  console.log(`${name.padEnd(7)} first token ${text(first)}  user ${text(user)}  system ${text(system)}`)
}
