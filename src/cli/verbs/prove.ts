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
import { lookUpForTraining } from '../load-for-training.ts'
import { compare, type Proof } from '../prove/compare.ts'
import { baseApart, inF32 } from '../prove/in-f32.ts'
import { KINDS } from '../prove/kinds.ts'
import { proofPage, rate, told } from '../prove/page.ts'
import { progress } from '../prove/progress.ts'
import { checkPython } from '../prove/python.ts'
import { type Recipe, readRecipe } from '../prove/recipe.ts'
import { runSaqr } from '../prove/saqr-side.ts'
import { maySumExplain, summedExactly } from '../prove/summed.ts'
import { runTrl } from '../prove/trl-side.ts'
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
      const theirs = { recipe, python: o.python, steps: o.steps, cpu, threads: o.threads, io }
      const trl = await runTrl({
        ...{ ...theirs, work: sides.trl, log: join(out, 'trl.log') },
        onStep: (step, loss) => progress(io, 'TRL', step, o.steps, loss),
      })
      const run = { rows: rows.trainDataset, steps: o.steps, trl: sides.trl, theirs: new Set(trl.trained.map(([name]) => name)), io }
      const saqr = await runSaqr({ ...run, recipe, work: sides.saqr, onStep: (step, loss) => progress(io, 'saqr', step, o.steps, loss) })
      const otherBase = baseApart(trl, saqr, recipe.options, cpu)
      if (otherBase !== null) throw new SaqrError('TRAIN_TRL', `there is nothing to compare: ${otherBase}`)
      if (trl.half) io.out.write('both once more in f32: what half precision costs, and what it would hide\n')
      const f32 = trl.half
        ? await inF32(
            { trl, saqr },
            { ...theirs, work: join(work, 'f32'), f32From: sides.trl, log: join(out, 'trl-f32.log') },
            { ...run, recipe, work: join(work, 'saqr-f32') },
          )
        : null
      const facts = {
        config: { path, kind, text: recipe.text },
        theirs: recipe.theirs,
        changed: recipe.changed,
        versions: { saqr: version(), node: process.versions.node, ...trl.versions, system: `${process.platform} ${process.arch}` },
        made: new Date().toISOString(),
        inF32: f32?.said ?? [],
        saqrCommand: ['saqr', kind, '--config', path, ...Object.entries(more).flatMap(([key, value]) => [`--${key}`, String(value)])],
      }
      const first = compare(trl, saqr, facts, f32?.trl ? { trl: f32.trl, saqr: f32.saqr } : null)
      const again = { ...theirs, work: join(work, 'summed'), log: join(out, 'trl-summed.log') }
      const proof = maySumExplain(first, trl, saqr.vocab) ? await summedExactly(first, { trl, saqr, facts }, again) : first
      writeFileAtomic(join(out, 'proof.json'), `${JSON.stringify(proof, null, 2)}\n`)
      writeFileAtomic(join(out, 'proof.html'), proofPage(proof))
      io.out.write(summary(proof, out, io))
      return proof.passed ? 0 : 1
    } finally {
      rmSync(work, { recursive: true, force: true })
    }
  },
})

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
    return device.describe().memory === undefined
  } finally {
    device.dispose()
  }
}

function summary(proof: Proof, out: string, io: Io): string {
  const { checks, passed, trl, saqr, versions } = proof
  const style = styleOf(io.out)
  const both = (what: string, theirs: string, ours: string, ratio = '') => `  ${what.padEnd(18)}TRL ${theirs}, saqr ${ours}${ratio}`
  const times = `${significant(saqr.tokensPerSecond / trl.tokensPerSecond, 3)}×`
  const card = trl.memory.card && saqr.memory.card
  const [theirs, ours] = card ? [trl.memory.card!.bytes, saqr.memory.card!.bytes] : [trl.memory.host, saqr.memory.host]
  return [
    ...checks.map((check) => `${check.passed ? style.good('✓') : style.warn('✗')} ${told(check, proof)}`),
    both('tokens a second', rate(trl.tokensPerSecond), rate(saqr.tokensPerSecond), ` (${times})`),
    ...(theirs !== null && ours !== null ? [both(card ? 'memory, card' : 'memory', bytes(theirs), bytes(ours))] : []),
    both('the whole run', `about ${duration(trl.fullRunSeconds)}`, `about ${duration(saqr.fullRunSeconds)}`),
    passed ? style.good(`parity holds with TRL ${versions.trl}`) : style.warn(`parity fails with TRL ${versions.trl}`),
    `the page: ${resolve(out, 'proof.html')}; as JSON: ${join(out, 'proof.json')}`,
    '',
  ].join('\n')
}
