/** What is known of a run before its first step. */
import type { Example } from '../data/example.ts'
import { predictSeconds, ratesOf } from '../engine/predict.ts'
import { visiblePairs } from '../engine/runner.ts'
import { parametersOf } from '../engine/settle.ts'
import { adapterConfigText } from '../formats/peft/config.ts'
import { type RunConfig, type StartEvent, snake } from '../track/events.ts'
import { stepData } from './data.ts'
import { camel } from './options/field.ts'
import type { Run } from './run.ts'

export interface Begun {
  outputDir: string
  /** which run of outputDir it is */
  name: string
  doneSteps: number
  history: readonly Record<string, number>[]
}

export function startEvent(run: Run, { outputDir, name, doneSteps, history }: Begun): StartEvent {
  const { model, objective, examples, options: o } = run
  const { device, checkpoint } = model.opened
  const { trained, all } = model.count()
  const { passes } = stepData(objective, examples, run.sampler, doneSteps, run.cut)
  const rates = ratesOf(device)
  const predictedSeconds = passes.reduce((sum, pass) => {
    const work = { chunks: run.runner.chunks(pass), pairs: visiblePairs(pass) }
    return sum + predictSeconds(run.runner.plan(pass.tokens).plan, work, rates)
  }, 0)
  const million = (n: number) => `${(n / 1e6).toFixed(2)} M`
  return {
    type: 'start',
    run: name,
    runName: o.runName ?? outputDir,
    model: checkpoint.path,
    device: `${device.describe().kind}, ${device.describe().label}`,
    outputDir,
    training: `${model.adapter.label}, ${million(trained)} of ${million(all)} parameters${kindsOf(run, million)}, in ${model.opened.choice.dtype}`,
    memory: run.memoryTable,
    planHash: run.budget.full.hash,
    steps: run.steps,
    doneSteps,
    epochs: run.steps / run.sampler.stepsPerEpoch,
    rows: examples.length,
    ...epochTotals(run),
    watched: objective.metrics.flatMap(({ name, label }) => (label === null ? [] : [{ name: camel(name), label }])),
    history,
    passesPerStep: passes.length,
    predictedSeconds,
    config: configOf(run, { all, trained }),
  }
}

function configOf({ model, options }: Run, parameters: RunConfig['parameters']): RunConfig {
  const { config } = model.adapter
  return {
    // secrets as transformers has them where it tells its arguments
    args: Object.fromEntries(
      Object.entries(options).map(([name, value]) => [
        snake(name),
        /Token$/.test(name) && name.startsWith('hub') && value ? '<HUB_TOKEN>' : value,
      ]),
    ),
    model: model.opened.checkpoint.config,
    adapter: config && JSON.parse(adapterConfigText(config)),
    parameters,
  }
}

/** trained parameters by kind, where experts might be taken for trained that aren't */
function kindsOf({ model }: Run, said: (n: number) => string): string {
  if (![...parametersOf(model.opened.model).values()].some(({ role }) => role === 'experts')) return ''
  const counts = { experts: 0, router: 0, others: 0 }
  for (const { role, rows, cols } of model.recorder.parameters.values())
    counts[role === 'experts' || role === 'router' ? role : 'others'] += rows * cols
  const of = (n: number) => (n === 0 ? 'none' : said(n))
  return ` (of experts ${of(counts.experts)}, of routers ${of(counts.router)}, of the rest ${of(counts.others)})`
}

/** steps whose rows are laid out to tell what an epoch computes; more are taken to be like them */
export const SAMPLED = 64

/** nothing predicts the first token of a sequence: it is no target in effect */
export function targetsOf({ targets, starts = Int32Array.of(0) }: Example): number {
  return targets.reduce((n, t) => n + t, 0) - starts.reduce((n, at) => n + (targets[at] ?? 0), 0)
}

/** tokens of an epoch, and what sharing would save where it is off */
function epochTotals(run: Run): Pick<StartEvent, 'rowTokens' | 'computedTokens' | 'targets' | 'sharing'> {
  const { objective, examples, sampler, cut, model, options } = run
  const { tokens: rowTokens, targets } = run.looked
  const sampled = { row: 0, kept: 0, shared: 0 }
  for (let step = 0; step < Math.min(SAMPLED, sampler.stepsPerEpoch); step++) {
    const data = stepData(objective, examples, sampler, step, cut)
    sampled.row += data.rowTokens
    sampled.kept += data.computedTokens
    sampled.shared += cut.prefixSharing ? 0 : stepData(objective, examples, sampler, step, { ...cut, prefixSharing: true }).computedTokens
  }
  const ofEpoch = (tokens: number) => Math.round((tokens / sampled.row) * rowTokens)
  const computedTokens = ofEpoch(sampled.kept)
  if (cut.prefixSharing) return { rowTokens, computedTokens, targets, sharing: null }
  const noise = options.neftuneNoiseAlpha ? `neftune_noise_alpha is ${options.neftuneNoiseAlpha}` : null
  const off = (objective.still ? null : model.adapter.random) ?? noise ?? 'prefix_sharing is off'
  return { rowTokens, computedTokens, targets, sharing: { off, tokens: computedTokens - ofEpoch(sampled.shared) } }
}
