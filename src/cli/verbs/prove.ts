/** `saqr prove`: the user's TRL configuration, some steps in their Python and as many in saqr, and whether both did the same. */
import { rmSync } from 'node:fs'
import { basename, extname, join, resolve } from 'node:path'
import { openDevice } from '../../devices/open.ts'
import { option, SaqrError, say } from '../../error.ts'
import { ensureWritableFolder, exists, makeFolder, writeFileAtomic } from '../../hub/files.ts'
import { version } from '../../hub/version.ts'
import { bytes, duration, significant } from '../../track/numbers.ts'
import { preparingLine } from '../../track/preparing-line.ts'
import { styleOf } from '../../track/style.ts'
import { honoured } from '../../train/options/field.ts'
import { count, name, optionalName } from '../../train/options/schemas.ts'
import { sftFields } from '../../train/options/sft.ts'
import { lookUpForTraining } from '../load.ts'
import { compare, type Proof } from '../prove/compare.ts'
import { KINDS } from '../prove/kinds.ts'
import { proofPage, rate } from '../prove/page.ts'
import { checkPython } from '../prove/python.ts'
import { type Recipe, readRecipe } from '../prove/recipe.ts'
import { runSaqr } from '../prove/saqr-side.ts'
import { runTrl, type TrlRequest, type TrlSide } from '../prove/trl-side.ts'
import { rowsOf } from '../rows.ts'
import { defineVerb, type Io } from '../verb.ts'

const fields = {
  python: honoured(
    name,
    process.platform === 'win32' ? 'python' : 'python3',
    'Python that has TRL; default: the one of the PATH, which an activated environment is',
  ),
  steps: honoured(count, 20, 'optimizer steps of each side'),
  out: honoured(optionalName, null, 'new folder for page, JSON and log; default: proof-CONFIG, numbered where that is there'),
  device: sftFields.device,
  threads: sftFields.threads,
  memory: sftFields.memory,
}

/** the first steps write gradients down: speed is of those behind them */
const LEAST_STEPS = 5

export const prove = defineVerb({
  name: 'prove',
  summary: 'run your TRL configuration in TRL and in saqr, and show that both do the same, and how fast',
  usage: '[sft|dpo|kto|orpo|cpo] CONFIG.yaml [options]',
  examples: ['saqr prove run.yaml', 'saqr prove dpo pairs.yaml --python ~/trl/bin/python --steps 50 --device cpu'],
  fields,
  themes: [{ title: 'Options', fields }],
  words: true,
  configIsWord: true,
  async run({ options: o, words, io }) {
    const { kind, path } = taken(words)
    if (o.steps < LEAST_STEPS)
      throw new SaqrError(
        'OPTION_INVALID',
        say`${option('steps')} ${o.steps}: gradients are looked at in the first three; give at least ${LEAST_STEPS}`,
      )
    const more = {
      device: o.device,
      ...(o.threads === null ? {} : { threads: o.threads }),
      ...(o.memory === null ? {} : { memory: o.memory }),
    }
    const out = folderFor(path, o.out)
    const work = join(out, 'work')
    const recipe = readRecipe(kind, path, more, join(work, 'saqr-run'))
    Object.assign(process.env, recipe.env)
    const cpu = await isCpu(recipe)
    const rows = await rowsOf(recipe.options, io)
    // what saqr can't open or read is told before Python starts
    const known = await lookUpForTraining(recipe.options, io)
    await recipe.objective.prepare(rows.trainDataset, known.tokenizer, recipe.options, {
      evaluation: false,
      signal: io.signal,
      making: { ahead: true, onProgress: preparingLine(io.err) },
    })
    const versions = await checkPython(o.python, io.signal)
    ensureWritableFolder(out)
    try {
      const sides = { trl: join(work, 'trl'), saqr: join(work, 'saqr') }
      for (const side of Object.values(sides)) makeFolder(side)
      const style = styleOf(io.out)
      io.out.write(`${style.bold(path)}: ${o.steps} steps in TRL ${versions.trl}, then ${o.steps} in saqr ${version()}\n`)
      const trl = await runTrl({
        ...{ recipe, python: o.python, steps: o.steps, work: sides.trl, log: join(out, 'trl.log'), cpu, threads: o.threads, io },
        onStep: (step, loss) => told(io, 'TRL', step, o.steps, loss),
      })
      const f32 = trl.half
        ? await inF32({
            recipe,
            python: o.python,
            steps: o.steps,
            work: join(work, 'f32'),
            from: sides.trl,
            out,
            cpu,
            threads: o.threads,
            io,
          })
        : null
      const saqr = await runSaqr({
        ...{ recipe, rows: rows.trainDataset, steps: o.steps, work: sides.saqr, trl: sides.trl, io },
        theirs: new Set(trl.trained.map(([name]) => name)),
        onStep: (step, loss) => told(io, 'saqr', step, o.steps, loss),
      })
      const facts = {
        config: { path, kind, text: recipe.text },
        theirs: recipe.theirs,
        changed: recipe.changed,
        versions: { saqr: version(), node: process.versions.node, ...trl.versions, system: `${process.platform} ${process.arch}` },
        made: new Date().toISOString(),
        yardstick: f32?.said ?? null,
        saqrCommand: ['saqr', kind, '--config', path, ...Object.entries(more).flatMap(([key, value]) => [`--${key}`, String(value)])],
      }
      const proof = compare(trl, saqr, facts, f32?.side ?? null)
      writeFileAtomic(join(out, 'proof.json'), `${JSON.stringify(proof, null, 2)}\n`)
      writeFileAtomic(join(out, 'proof.html'), proofPage(proof))
      io.out.write(summary(proof, out, io))
      return proof.passed ? 0 : 1
    } finally {
      rmSync(work, { recursive: true, force: true })
    }
  },
})

/** TRL once more, in f32: what its half precision costs. A model that doesn't fit so is told of. */
async function inF32({
  from,
  out,
  work,
  io,
  ...run
}: Pick<TrlRequest, 'recipe' | 'python' | 'steps' | 'cpu' | 'threads' | 'io' | 'work'> & { from: string; out: string }): Promise<{
  side: TrlSide | null
  said: string
}> {
  makeFolder(work)
  try {
    const side = await runTrl({
      ...{ ...run, io, work, f32From: from, log: join(out, 'trl-f32.log') },
      onStep: (step, loss) => told(io, 'TRL in f32', step, run.steps, loss),
    })
    return {
      side,
      said: 'TRL was run once more in f32 by a process of its own, from the same values: how far its first gradients and its losses are from those is the measure of how far saqr’s may be from TRL’s.',
    }
  } catch (error) {
    if (!(error instanceof SaqrError)) throw error
    const said =
      'TRL could not run in f32 (trl-f32.log says why), so what its half precision costs isn’t measured: what is allowed is estimated from the arithmetic.'
    io.err.write(`saqr: ${said}\n`)
    return { side: null, said }
  }
}

function taken(words: readonly string[]): { kind: string; path: string } {
  const kinds = Object.keys(KINDS)
  const [first] = words
  const kind = first !== undefined && kinds.includes(first) ? first : 'sft'
  const [path, ...rest] = kind === first ? words.slice(1) : words
  if (path === undefined)
    throw new SaqrError(
      'OPTION_INVALID',
      `saqr prove needs the YAML file of your TRL run: saqr prove ${kind === 'sft' ? '' : `${kind} `}run.yaml`,
    )
  if (rest.length > 0)
    throw new SaqrError('OPTION_INVALID', `saqr prove takes one file, after ${kinds.slice(1).join(', ')} where it isn't trl sft's; it has no use for ${kind === first ? rest[0] : path.endsWith('.yaml') || path.endsWith('.yml') ? rest[0] : path}`) // biome-ignore format: one message
  return { kind, path }
}

/** A folder that isn't there, or has nothing in it: nobody's files are written over. */
function folderFor(config: string, given: string | null): string {
  if (given !== null) {
    if (exists(given)) throw new SaqrError('OPTION_INVALID', say`${option('out')} ${given} is there already: name a new folder`)
    return given
  }
  const wanted = `proof-${basename(config, extname(config))}`
  for (let i = 1; ; i++) {
    const folder = i === 1 ? wanted : `${wanted}-${i}`
    if (!exists(folder)) return folder
  }
}

/** Both sides compute on the same kind of device. */
async function isCpu({ options }: Recipe): Promise<boolean> {
  if (options.useCpu) return true
  const device = await openDevice(options.device, { threads: options.threads })
  try {
    return device.describe().kind !== 'cuda'
  } finally {
    device.dispose()
  }
}

function told(io: Io, side: string, step: number, steps: number, loss: number): void {
  const line = `${side.padEnd(4)} step ${String(step).padStart(String(steps).length)}/${steps}  loss ${loss.toFixed(4)}`
  io.out.write(io.out.isTTY && step < steps ? `\r${line}` : `${io.out.isTTY ? '\r' : ''}${line}\n`)
}

function summary({ checks, passed, trl, saqr, versions }: Proof, out: string, io: Io): string {
  const style = styleOf(io.out)
  const both = (what: string, theirs: string, ours: string, ratio = '') => `  ${what.padEnd(18)}TRL ${theirs}, saqr ${ours}${ratio}`
  const times = `${significant(saqr.tokensPerSecond / trl.tokensPerSecond, 3)}×`
  const card = trl.memory.card && saqr.memory.card
  const [theirs, ours] = card ? [trl.memory.card!.bytes, saqr.memory.card!.bytes] : [trl.memory.host, saqr.memory.host]
  return [
    ...checks.map((check) => `${check.passed ? style.good('✓') : style.warn('✗')} ${check.said}`),
    both('tokens a second', rate(trl.tokensPerSecond), rate(saqr.tokensPerSecond), ` (${times})`),
    ...(theirs !== null && ours !== null ? [both(card ? 'memory, card' : 'memory', bytes(theirs), bytes(ours))] : []),
    both('the whole run', duration(trl.fullRunSeconds), duration(saqr.fullRunSeconds)),
    passed ? style.good(`parity holds with TRL ${versions.trl}`) : style.warn(`parity fails with TRL ${versions.trl}`),
    `the page: ${resolve(out, 'proof.html')}; as JSON: ${join(out, 'proof.json')}`,
    '',
  ].join('\n')
}
