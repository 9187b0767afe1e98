/**
 * `npm run bench:pair-folds -- --model SmolLM2-135M-Instruct.gguf --data pairs.json [--device cuda] [--jobs 3] [--limit SECONDS] [--out FILE] [lr=1e-4,r=16,epochs=2 …]`
 *
 * DPO judged on pairs it was not trained on: rows are shuffled and fall into folds, one is held out, the rest is trained on, and the fold held out is
 * judged after each epoch; all folds together hold out every pair once a seed. A setting (of the command line, or the usual ones) with a count of epochs is a candidate.
 * Seeds 1 to --seeds choose: after each the better half of the settings goes on. The best candidate is then trained on --confirm other seeds
 * (1001, …), which had no part in choosing. As these are other folds of the same pairs, a third number has no pair judged by a choice
 * it had a part in: for each fold of seed 1 the candidate that is best on the other folds is taken, and judged on this one.
 */
import { type ChildProcess, fork } from 'node:child_process'
import { appendFileSync } from 'node:fs'
import { extname, join } from 'node:path'
import { parseArgs } from 'node:util'
import type { FoldAsked, FoldJudged, FoldsOf } from './pair-fold.ts'
import { type PairSetting, pairSetting, USUAL } from './pair-settings.ts'

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    model: { type: 'string' },
    data: { type: 'string' },
    device: { type: 'string', default: 'cpu' },
    threads: { type: 'string', default: '2' },
    /** folds trained at a time, each in a process of its own */
    jobs: { type: 'string', default: '1' },
    /** GiB of each */
    memory: { type: 'string' },
    folds: { type: 'string', default: '5' },
    seeds: { type: 'string', default: '3' },
    confirm: { type: 'string', default: '3' },
    pairs: { type: 'string' },
    'max-length': { type: 'string', default: '1024' },
    dtype: { type: 'string', default: 'bfloat16' },
    limit: { type: 'string' },
    out: { type: 'string' },
  },
})
if (!values.model || !values.data) {
  console.error('bench:pair-folds needs --model and --data: rows of prompt (or a conversation), chosen and rejected')
  process.exit(2)
}
const folds = Number(values.folds)
const started = performance.now()
const limit = values.limit ? Number(values.limit) * 1e3 : Number.POSITIVE_INFINITY
const usual = { maxLength: Number(values['max-length']), dtype: values.dtype }
const settings = (positionals.length > 0 ? positionals : USUAL).map((written) => pairSetting(written, usual))
const common: FoldsOf = {
  model: values.model,
  data: values.data,
  device: values.device,
  threads: Number(values.threads),
  memory: values.memory ? Number(values.memory) : null,
  folds,
  pairs: values.pairs ? Number(values.pairs) : null,
}

function say(line: string, kept = line): void {
  console.log(line)
  if (values.out) appendFileSync(values.out, `${kept}\n`)
}

/** folds judged, by setting */
const judged = new Map<PairSetting, FoldJudged[]>(settings.map((setting) => [setting, []]))
/** settings that could not be trained: they diverged, or don't fit */
const refused = new Set<PairSetting>()

/** Folds of settings in their order, several at a time. @returns false: the time was over */
async function work(asked: FoldAsked[], until: number): Promise<boolean> {
  const queue = [...asked]
  const one = async (child: ChildProcess) => {
    for (;;) {
      const next = queue.shift()
      if (!next) return
      if (refused.has(next.setting)) continue
      const answer = await new Promise<{ judged?: FoldJudged; refused?: string } | null>((resolve) => {
        const late = Number.isFinite(until) ? setTimeout(() => resolve(null), Math.max(0, started + until - performance.now())) : undefined
        const died = () => {
          clearTimeout(late)
          resolve({ refused: 'its process ended' })
        }
        child.once('exit', died)
        child.once('message', (message) => {
          clearTimeout(late)
          child.off('exit', died)
          resolve(message as { judged: FoldJudged })
        })
        child.send(next)
      })
      if (answer === null) {
        queue.length = 0
        return child.kill('SIGKILL')
      }
      if (answer.judged) {
        judged.get(next.setting)!.push(answer.judged)
        say(JSON.stringify({ setting: next.setting.name, ...answer.judged }))
      } else {
        refused.add(next.setting)
        say(JSON.stringify({ setting: next.setting.name, refused: answer.refused }))
      }
      if (child.exitCode !== null || child.signalCode !== null) return
    }
  }
  const children = Array.from({ length: Math.min(Number(values.jobs), asked.length) }, async () => {
    const child = fork(join(import.meta.dirname, `pair-fold${extname(import.meta.filename)}`), [JSON.stringify(common)])
    const ready = await new Promise<boolean>((resolve) => {
      child.once('message', () => resolve(true))
      child.once('exit', () => resolve(false))
    })
    if (ready) await one(child)
    // its memory is the next ones': they begin when it is gone
    if (child.exitCode !== null || child.signalCode !== null) return
    const gone = new Promise((resolve) => child.once('exit', resolve))
    child.kill('SIGKILL')
    await gone
  })
  await Promise.all(children)
  return performance.now() - started < until
}

interface Candidate {
  setting: PairSetting
  /** epochs it is trained for, from 1 */
  epochs: number
}

/** pairs a candidate tells rightly, of the folds named */
function told({ setting, epochs }: Candidate, of: (fold: FoldJudged) => boolean): { right: number; pairs: number; accuracy: number } {
  const all = judged.get(setting)!.filter(of)
  const pairs = all.reduce((n, { heldOut }) => n + heldOut, 0)
  const right = all.reduce((n, fold) => n + fold.heldOut * fold.epochs[epochs - 1]!.accuracy, 0)
  return { right, pairs, accuracy: pairs > 0 ? right / pairs : 0 }
}

const candidates = (of: readonly PairSetting[]): Candidate[] =>
  of.flatMap((setting) => Array.from({ length: setting.epochs }, (_, i) => ({ setting, epochs: i + 1 })))

const placeOf = ({ seed, fold }: { seed: number; fold: number }) => `${seed}/${fold}`
/** the folds that all of them were judged on: what the time left over is not compared */
function commonFolds(of: readonly PairSetting[]): (fold: FoldJudged) => boolean {
  const places = of.map((setting) => new Set(judged.get(setting)!.map(placeOf)))
  return (fold) => places.every((set) => set.has(placeOf(fold)))
}

function best(of: readonly PairSetting[], among = commonFolds(of)): Candidate[] {
  return candidates(of)
    .map((candidate) => ({ candidate, accuracy: told(candidate, among).accuracy }))
    .sort((a, b) => b.accuracy - a.accuracy)
    .map(({ candidate }) => candidate)
}

const label = ({ setting, epochs }: Candidate) => `${setting.name}, after ${epochs} of ${setting.epochs} epochs`
const allFolds = (alive: readonly PairSetting[], seed: number): FoldAsked[] =>
  // fold by fold, so that what the time cuts off is the same of all
  Array.from({ length: folds }, (_, fold) => alive.map((setting) => ({ setting, seed, fold }))).flat()

/** @param seeds over which pairs come again: they average over splits, and make no pairs more */
function line(what: string, { right, pairs, accuracy }: { right: number; pairs: number; accuracy: number }, seeds: number): void {
  const error = Math.sqrt((accuracy * (1 - accuracy)) / Math.max(1, pairs / Math.max(1, seeds)))
  const numbers = `${accuracy.toFixed(4)} ± ${error.toFixed(4)}  ${Math.round(right)} of ${pairs} in ${seeds} seed${seeds === 1 ? '' : 's'}`
  say(`${numbers}  ${what}`, JSON.stringify({ what, accuracy, standardError: error, right: Math.round(right), pairs, seeds }))
}

const seedsOf = (folds: readonly FoldJudged[]) => new Set(folds.map(({ seed }) => seed)).size
const chosenBy = (seed: number) => seed <= Number(values.seeds)

let alive: readonly PairSetting[] = settings
for (let seed = 1; chosenBy(seed); seed++) {
  const inTime = await work(allFolds(alive, seed), 0.75 * limit)
  alive = alive.filter((setting) => !refused.has(setting))
  if (!inTime || alive.length === 0) break
  const order = [...new Set(best(alive).map(({ setting }) => setting))]
  if (chosenBy(seed + 1)) alive = order.slice(0, Math.max(2, Math.ceil(order.length / 2)))
}
const chosen = best(alive)[0]
const confirming = Array.from({ length: Number(values.confirm) }, (_, i) => allFolds(chosen ? [chosen.setting] : [], 1001 + i)).flat()
if (confirming.length > 0) await work(confirming, limit)

say('\nheld out: accuracy ± standard error of so many different pairs')
for (const candidate of best(settings, ({ seed }) => chosenBy(seed))) {
  const folds = judged.get(candidate.setting)!.filter(({ seed }) => chosenBy(seed))
  if (folds.length > 0)
    line(
      label(candidate),
      told(candidate, ({ seed }) => chosenBy(seed)),
      seedsOf(folds),
    )
}
// refused later or not: what has every fold of seed 1
const complete = settings.filter((setting) => judged.get(setting)!.filter(({ seed }) => seed === 1).length === folds)
const left = settings.filter((setting) => !complete.includes(setting))
if (left.length > 0) say(`without all folds of seed 1, so not among what follows: ${left.map(({ name }) => name).join('; ')}`)
const first = commonFolds(complete)
const nested = { right: 0, pairs: 0, accuracy: 0 }
for (let fold = 0; fold < folds; fold++) {
  const [taken] = best(complete, (one) => one.seed === 1 && first(one) && one.fold !== fold)
  if (!taken) continue
  const { right, pairs } = told(taken, (one) => one.seed === 1 && first(one) && one.fold === fold)
  nested.right += right
  nested.pairs += pairs
}
nested.accuracy = nested.pairs > 0 ? nested.right / nested.pairs : 0
line('seed 1, each fold by the candidate best on its other folds', nested, 1)
if (chosen) {
  const folds = judged.get(chosen.setting)!.filter(({ seed }) => !chosenBy(seed))
  line(
    `CONFIRMED on other seeds: ${label(chosen)}`,
    told(chosen, ({ seed }) => !chosenBy(seed)),
    seedsOf(folds),
  )
  for (const seed of new Set(folds.map(({ seed }) => seed)))
    line(
      `  seed ${seed}`,
      told(chosen, (one) => one.seed === seed),
      1,
    )
}
say(`${Math.round((performance.now() - started) / 1e3)} s on ${values.device}, ${values.jobs} at a time`)
