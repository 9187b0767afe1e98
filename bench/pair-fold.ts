/** A process of bench:pair-folds: opens its device once, then trains on what a message names and judges the fold held out after every epoch. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DPOTrainer, FastLanguageModel, loadDataset, openDevice } from '../src/index.ts'
import type { DpoTrainingOptions } from '../src/train/options/dpo-config.ts'
import type { PairSetting } from './pair-settings.ts'

/** what all its folds have in common */
export interface FoldsOf {
  model: string
  data: string
  device: string
  threads: number
  /** GiB */
  memory: number | null
  folds: number
  /** of the rows, the first so many */
  pairs: number | null
}

export interface FoldAsked {
  setting: PairSetting
  seed: number
  fold: number
}

export interface FoldJudged {
  seed: number
  fold: number
  /** pairs that fit */
  heldOut: number
  /** after each epoch: TRL's eval_rewards/accuracies, of all pairs as one batch, so a mean over pairs */
  epochs: { accuracy: number; margin: number; evalLoss: number }[]
  /** rewards/accuracies of the first epoch's batches but the first, each before it was trained on */
  unseenAccuracy: number
  seconds: number
}

/** @returns what judges a setting on a fold */
async function openFolds({ model: name, data, device: where, threads, memory, folds, pairs }: FoldsOf) {
  const device = await openDevice(where, where === 'cpu' ? { threads } : {})
  const all = await loadDataset(data)
  const rows = pairs === null ? all : all.select(Array.from({ length: pairs }, (_, i) => i))
  return async ({ setting, seed, fold }: FoldAsked): Promise<FoldJudged> => {
    const started = performance.now()
    const shuffled = rows.shuffle({ seed })
    const part = (held: boolean) =>
      shuffled.select(Array.from({ length: rows.length }, (_, i) => i).filter((i) => (i % folds === fold) === held))
    const outputDir = mkdtempSync(join(tmpdir(), 'saqr-pair-fold-'))
    const { model, tokenizer } = await FastLanguageModel.fromPretrained(name, {
      device,
      loadIn4bit: false,
      fullFinetuning: setting.rank === null,
      maxSeqLength: setting.maxLength,
      dtype: setting.dtype as 'float32' | 'bfloat16',
    })
    try {
      const trained =
        setting.rank === null
          ? model
          : FastLanguageModel.getPeftModel(model, { r: setting.rank, loraAlpha: setting.alpha, randomState: seed })
      const trainer = new DPOTrainer({
        model: trained,
        processingClass: tokenizer,
        trainDataset: part(false),
        evalDataset: part(true),
        memory: memory === null ? null : memory * 2 ** 30,
        report: 'none',
        args: {
          maxLength: setting.maxLength,
          beta: setting.beta,
          lossType: setting.loss as DpoTrainingOptions['lossType'],
          lossWeights: setting.lossWeights,
          labelSmoothing: setting.labelSmoothing,
          ldAlpha: setting.ldAlpha,
          perDeviceTrainBatchSize: setting.batch,
          perDeviceEvalBatchSize: rows.length,
          evalStrategy: 'epoch',
          numTrainEpochs: setting.epochs,
          learningRate: setting.learningRate,
          lrSchedulerType: setting.scheduler as 'linear',
          warmupSteps: setting.scheduler === 'constant' ? 0 : 0.1,
          seed,
          loggingSteps: 1,
          saveStrategy: 'no',
          outputDir,
        },
      })
      const judged: FoldJudged = { seed, fold, heldOut: 0, epochs: [], unseenAccuracy: 0, seconds: 0 }
      const unseen: number[] = []
      for await (const event of trainer.stream()) {
        if (event.type === 'log' && judged.epochs.length === 0) unseen.push(event.metrics['rewards/accuracies']!)
        if (event.type !== 'eval') continue
        const { evalLoss, metrics, evalRuntime, evalSamplesPerSecond } = event
        judged.heldOut = Math.round(evalRuntime * evalSamplesPerSecond)
        judged.epochs.push({ accuracy: metrics['evalRewards/accuracies']!, margin: metrics['evalRewards/margins']!, evalLoss })
      }
      judged.unseenAccuracy = unseen.slice(1).reduce((a, b) => a + b, 0) / Math.max(1, unseen.length - 1)
      judged.seconds = (performance.now() - started) / 1e3
      return judged
    } finally {
      await model.dispose()
      rmSync(outputDir, { recursive: true })
    }
  }
}

const judge = await openFolds(JSON.parse(process.argv[2]!) as FoldsOf)
process.on('message', (asked: FoldAsked) => {
  judge(asked).then(
    (judged) => process.send!({ judged }),
    (error: Error) => process.send!({ refused: error.message }),
  )
})
process.send!({})
