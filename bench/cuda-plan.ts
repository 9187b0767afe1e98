/** What lies behind a case of `bench:cuda`: where a step's time goes, op by op. */
import { Dataset } from '../src/data/dataset.ts'
import { predictSeconds, secondsByOp } from '../src/engine/predict.ts'
import { PassRunner, visiblePairs } from '../src/engine/runner.ts'
import { optimizerPlan } from '../src/graph/optimizer.ts'
import type { PretrainedModel, SFTTrainerInit } from '../src/index.ts'
import { BaseWeights } from '../src/train/base-weights.ts'
import { stepData } from '../src/train/data.ts'
import { sft } from '../src/train/objectives/sft.ts'
import { optimizerOptions } from '../src/train/optim.ts'
import type { TrainingOptions } from '../src/train/options/config.ts'
import { prepareRun } from '../src/train/run.ts'
import { SFTTrainer } from '../src/train/sft-trainer.ts'
import { surveyOf } from '../src/train/survey.ts'

type Args = NonNullable<SFTTrainerInit['args']>
type Rows = { input_ids: number[] }[]

const optionsOf = (model: PretrainedModel, data: Rows, args: Args): TrainingOptions =>
  new SFTTrainer({ model, trainDataset: data, args, report: 'none' }).options

const examplesOf = async ({ tokenizer }: PretrainedModel, data: Rows, options: TrainingOptions) =>
  (await sft.prepare(new Dataset(data), tokenizer, options, { evaluation: false })).examples

export interface Planned {
  /** ms of a counted step's passes by op, the mean over them; the optimiser's and the host's own are not among them */
  opsMs: Record<string, number>
  /** the same with every op at the machine's limit */
  opsLimitMs: Record<string, number>
  /** of the counted steps, with every op at the machine's limit */
  limitSeconds: number
  maxPassTokens: number
  /** of the plan of a full pass: the run's own where no other was free to choose */
  planHash: string
  /** ops of the plans, by the tokens of their passes */
  planOps: Record<number, number>
  /** what the blocks of a full pass do */
  policies: Record<string, number>
}

/** The run's own plans once more, with a clock at every step of them. */
export async function profile(
  model: PretrainedModel,
  data: Rows,
  args: Args,
  memory: number | null,
  steps: readonly number[],
): Promise<Planned> {
  const { language } = model
  const { device } = language.opened
  const options = optionsOf(model, data, args)
  const init = {
    objective: sft,
    model: language,
    evalExamples: null,
    options,
    goesOn: null,
    base: new BaseWeights(language.opened.checkpoint),
  }
  const limit = memory === null ? null : { bytes: memory, unit: 'MiB' }
  const examples = await examplesOf(model, data, options)
  const looked = await surveyOf(examples, language.opened.model, undefined)
  const run = await prepareRun({ ...init, examples, looked, evalLooked: null, memory: limit, refModel: null })
  const atLimit = { limits: device.limits(), reach: { compute: 1, pairs: 1, copy: 1, launch: 0 } }
  try {
    const runner = new PassRunner(device, { ...run.runner.spec, profile: true })
    const optimizer = optimizerPlan(
      language.trainables.layout,
      optimizerOptions(options, language.opened.model.head.path, [...language.recorder.parameters.values()]),
      device.describe().scratch,
    )
    const opsMs: Record<string, number> = {}
    const opsLimitMs: Record<string, number> = {}
    const planOps: Record<number, number> = {}
    let limitSeconds = 0
    for (const step of steps) {
      const { passes, normaliser } = stepData(sft, run.examples, run.sampler, step, run.cut)
      limitSeconds += predictSeconds(optimizer, { chunks: 1 }, atLimit)
      for (const pass of passes) {
        const work = { chunks: runner.chunks(pass), pairs: visiblePairs(pass) }
        limitSeconds += predictSeconds(runner.plan(pass.tokens).plan, work, atLimit)
        for (const [op, seconds] of Object.entries(secondsByOp(runner.plan(pass.tokens).plan, work, atLimit)))
          opsLimitMs[op] = (opsLimitMs[op] ?? 0) + (seconds * 1e3) / steps.length
        const inputs = { seed: 0, step, lossScale: 1 / normaliser }
        const loaded = runner.plan(pass.tokens)
        planOps[pass.tokens] = loaded.plan.steps.length
        // the first run of a pass size is step by step, without clocks
        await runner.run(pass, inputs)
        loaded.seconds!.fill(0)
        await runner.run(pass, inputs)
        loaded.plan.steps.forEach((s, i) => {
          opsMs[s.op] = (opsMs[s.op] ?? 0) + (loaded.seconds![i]! * 1e3) / steps.length
        })
      }
    }
    language.trainables.zeroGradients()
    const policies: Record<string, number> = {}
    const policy = run.budget.policy(run.budget.full.tokens)
    for (let block = 0; block < language.opened.model.layers; block++) policies[policy(block)] = (policies[policy(block)] ?? 0) + 1
    runner.dispose()
    return {
      opsMs: sorted(opsMs),
      opsLimitMs,
      planOps,
      limitSeconds,
      maxPassTokens: run.cut.maxPassTokens,
      planHash: run.budget.full.hash,
      policies,
    }
  } finally {
    run.dispose()
  }
}

const sorted = (ms: Record<string, number>) => Object.fromEntries(Object.entries(ms).sort((a, b) => b[1] - a[1]))
