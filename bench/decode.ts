/**
 * `npm run bench:decode -- --model A.gguf [--model B.gguf …] [--threads 1,2] [--prompt 512] [--new 128] [--rounds 3] [--llama DIR] [--python P] [--load-in-4bit]`
 *
 * What a GGUF model's next token takes on the CPU, and reading a prompt of --prompt tokens, beside llama.cpp on the same file, ids and number of
 * threads, in turns (--llama: the folder of its shared libraries, --python with numpy). Greedy. Beside the median stands the least a token took: on
 * a machine that others use too it is what the code takes. The shares are of what reading the model's bytes takes at the speed that this process
 * copies memory (read and written) and at the one that it reads it alone, in order, with the same threads, measured behind each case.
 */
import { execFileSync } from 'node:child_process'
import { basename, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { nativeLibrary } from '../src/devices/cpu/library.ts'
import { openDevice } from '../src/devices/open.ts'
import { LanguageModel } from '../src/engine/language-model.ts'
import { openBase } from '../src/engine/open-base.ts'
import { DecodeLoop } from '../src/generate/decode-loop.ts'
import { generateTokens } from '../src/generate/generate.ts'
import { Sampler } from '../src/generate/sample.ts'
import { sizeOf } from '../src/ops/tensor.ts'

const { values } = parseArgs({
  options: {
    model: { type: 'string', multiple: true },
    threads: { type: 'string', default: '1,2' },
    prompt: { type: 'string', default: '512' },
    new: { type: 'string', default: '128' },
    rounds: { type: 'string', default: '3' },
    llama: { type: 'string' },
    python: { type: 'string', default: 'python3' },
    'load-in-4bit': { type: 'boolean', default: false },
    // of one round, in a process of its own
    once: { type: 'boolean', default: false },
  },
})
if (!values.model) {
  console.error('bench:decode needs --model: a .gguf file, or a folder with a model')
  process.exit(2)
}

interface Measured {
  /** seconds of the prompt */
  prompt: number
  /** ms of each token behind the first */
  times: number[]
  answer: number[]
  /** of weights that a token reads */
  bytes?: number
  /** bytes a second, read and written */
  copying?: number
  /** bytes a second, read alone */
  reading?: number
}

const newTokens = Number(values.new)
let state = 1
const ids = Array.from({ length: Number(values.prompt) }, () => {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0
  return 100 + (state % 20000)
})

async function once(path: string, threads: number): Promise<Measured> {
  const device = await openDevice('cpu', { threads })
  const choice = () => ({ dtype: 'bf16' as const, loadIn4bit: values['load-in-4bit'], doubleQuant: false })
  const { opened } = await openBase(path, device, { choice, asked: true })
  const model = new LanguageModel(opened, { kind: 'none' }, 0)
  const loop = new DecodeLoop(model)
  let measured: Measured | undefined
  for (let round = 0; round < 2; round++) {
    const began = performance.now()
    let last = began
    const [answer, times]: [number[], number[]] = [[], []]
    const question = { prompt: ids, sampler: new Sampler(ids, {}), stop: new Set<number>(), maxNewTokens: newTokens }
    for await (const { choice } of generateTokens(model, loop, [question])) {
      if (!choice) continue
      const now = performance.now()
      times.push(now - last)
      answer.push(choice.id)
      last = now
    }
    const [prompt, ...rest] = times
    measured = { prompt: prompt! / 1e3, times: rest, answer }
  }
  const weights = [...model.recorder.weights.values()]
  // a token reads one row of an embedding that is no head's
  const { head } = opened.model
  const read = weights.filter(({ name }) => head.tiedTo !== undefined || !name.endsWith('embed_tokens.weight'))
  const copying = device.limits({ anew: true }).copy
  return { ...measured!, bytes: read.reduce((sum, spec) => sum + sizeOf(spec), 0), copying, reading: readingSpeed(threads) }
}

function readingSpeed(threads: number): number {
  const { native } = nativeLibrary()
  const pool = native.poolCreate(threads)
  const speed = (native.probeRead(pool) as number) * 1e9
  native.poolDestroy(pool)
  return speed
}

function child(path: string, threads: number): Measured {
  const own = [
    ...process.execArgv,
    import.meta.filename,
    '--once',
    '--model',
    path,
    '--threads',
    String(threads),
    '--prompt',
    values.prompt,
    '--new',
    values.new,
  ]
  return JSON.parse(
    execFileSync(process.execPath, values['load-in-4bit'] ? [...own, '--load-in-4bit'] : own, { encoding: 'utf8' }),
  ) as Measured
}

function llama(path: string, threads: number): Measured {
  const script = resolve(import.meta.dirname, '../tools/oracle/llama_decode.py')
  const out = execFileSync(values.python, [script, values.llama!, path, String(threads), values.new, JSON.stringify(ids)], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
  })
  return JSON.parse(out) as Measured
}

const median = (x: readonly number[]) => [...x].sort((a, b) => a - b)[x.length >> 1]!
const least = (x: readonly number[]) => Math.min(...x)

if (values.once) {
  console.log(JSON.stringify(await once(resolve(values.model[0]!), Number(values.threads))))
} else {
  for (const given of values.model) {
    const path = resolve(given)
    for (const threads of values.threads.split(',').map(Number)) {
      const rounds = { saqr: [] as Measured[], 'llama.cpp': [] as Measured[] }
      for (let i = 0; i < Number(values.rounds); i++) {
        rounds.saqr.push(child(path, threads))
        if (values.llama) rounds['llama.cpp'].push(llama(path, threads))
      }
      console.log(`${basename(path)}${values['load-in-4bit'] ? ' in NF4' : ''}, ${threads} ${threads === 1 ? 'thread' : 'threads'}`)
      for (const [who, list] of Object.entries(rounds)) {
        if (list.length === 0) continue
        const times = list.flatMap((one) => one.times)
        const prompt = list.map((one) => one.prompt)
        const [middle, best] = [median(times), least(times)]
        const tokens = (seconds: number) => `${(ids.length / seconds).toFixed(0)}`
        console.log(
          `  ${who.padEnd(9)}  a token ${middle.toFixed(2)} ms (least ${best.toFixed(2)}): ${(1e3 / middle).toFixed(1)} tokens/s (${(1e3 / best).toFixed(1)});` +
            ` prompt ${tokens(median(prompt))} tokens/s (${tokens(least(prompt))})`,
        )
      }
      const { bytes } = rounds.saqr[0]!
      const most = (of: (one: Measured) => number) => Math.max(...rounds.saqr.map(of))
      const [copying, reading] = [most((one) => one.copying!), most((one) => one.reading!)]
      const took = least(rounds.saqr.flatMap((one) => one.times)) / 1e3
      console.log(
        `  ${(bytes! / 1e6).toFixed(1)} MB of weights a token; copying moves ${(copying / 1e9).toFixed(1)} GB/s, reading ${(reading / 1e9).toFixed(1)}:` +
          ` the least token reads at ${((100 * bytes!) / took / copying).toFixed(0)} and ${((100 * bytes!) / took / reading).toFixed(0)} % of them`,
      )
    }
  }
}
