/**
 * `saqr quickstart`: a whole fine-tuning in a minute or two. A model that saqr trained itself is asked questions it can't answer, learns the
 * task from some hundred rows, and is asked again. `--model` and `--dataset` do the same with anything.
 */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { z } from 'zod'
import { loadDataset, loadRows } from '../../data/load.ts'
import { openDevice } from '../../devices/open.ts'
import { LanguageModel } from '../../engine/language-model.ts'
import { saveTrained } from '../../engine/save.ts'
import { saveMerged } from '../../export/merged.ts'
import { ensureWritableFolder } from '../../hub/files.ts'
import { shortPath } from '../../hub/not-found.ts'
import type { Point } from '../../track/curve.ts'
import { plot } from '../../track/plot.ts'
import { lossCurveSvg } from '../../track/svg.ts'
import { terminal } from '../../track/terminal.ts'
import { tracked } from '../../track/tracker.ts'
import { adapterConfig } from '../../train/options/adapter.ts'
import { honoured } from '../../train/options/field.ts'
import { resolveObject } from '../../train/options/resolve.ts'
import { count, name, optionalName } from '../../train/options/schemas.ts'
import { sftFields } from '../../train/options/sft.ts'
import { SFTTrainer } from '../../train/sft-trainer.ts'
import { openForGeneration } from '../load.ts'
import { answerTokens, type Examinee, examine, type Marks } from '../quickstart/examine.ts'
import { nextStep } from '../quickstart/next-step.ts'
import { asked, keepBack, oneLine, type Question, questionsOf, shown, toDataset } from '../quickstart/questions.ts'
import { INTERRUPTED } from '../run.ts'
import { defineVerb, type Io } from '../verb.ts'

const fields = {
  model: honoured(optionalName, null, 'Hub id, folder or .gguf file; default: the small model that comes with saqr'),
  dataset: honoured(optionalName, null, 'rows with answers, as a file, folder or Hub id; default: the task that comes with saqr'),
  output_dir: honoured(name, 'quickstart', 'folder for adapter, merged model and loss curve'),
  num_train_epochs: honoured(z.number().positive(), 3, 'times that all rows are gone through'),
  batch_size: honoured(count, 16, 'rows of an optimizer step'),
  learning_rate: honoured(z.number().min(0), 2e-3, 'highest learning rate'),
  lora_r: honoured(count, 16, 'rank of the adapter'),
  max_length: honoured(count, 512, 'longer rows are cut after this many tokens'),
  questions: honoured(count, 120, 'rows kept back and asked before and after'),
  device: sftFields.device,
  threads: sftFields.threads,
}

/** what comes with saqr */
const bundle = (name: string) => fileURLToPath(new URL(`../../../assets/quickstart/${name}`, import.meta.url))

export const quickstart = defineVerb({
  name: 'quickstart',
  summary: 'fine-tune a small model in a minute or two: asked before, trained, asked again',
  usage: '[--model MODEL --dataset ROWS] [options]',
  fields,
  themes: [{ title: 'Options', fields }],
  async run({ options: o, io }) {
    const say = (...lines: string[]) => io.out.write(`${lines.join('\n')}\n`)
    const { train, test } = await exercise(o.dataset, o.questions, io.signal)
    const device = await openDevice(o.device, { threads: o.threads })
    try {
      const name = o.model ?? bundle('model')
      const { options } = resolveObject(sftFields, {
        usePeft: true,
        loraR: o.loraR,
        loraAlpha: 2 * o.loraR,
        loraDropout: 0,
        loraTargetModules: 'all-linear',
        modelNameOrPath: name,
      })
      const base = await openForGeneration(name, { ...options, dtype: null }, device, io)
      const tokens = answerTokens(base, [...train, ...test])
      ensureWritableFolder(o.outputDir)
      say(`before training, ${test.length} questions whose answers no training row gives`)
      const before = await examine(base, test, tokens, io.signal)
      say(...marksLines(before, test), '', `training on ${train.length} rows`)

      const language = new LanguageModel(base.language.opened, { kind: 'lora', config: adapterConfig(options)! }, options.seed)
      const model = { language, tokenizer: base.tokenizer }
      const { curve, finished, rowTokens } = await learn(model, train, o, io)
      if (!finished) return INTERRUPTED
      say('', ...plot(curve), '', 'after training, the same questions')
      const after = await examine(model, test, tokens, io.signal)
      say(
        ...marksLines(after, test),
        '',
        `answered word for word: ${before.right} of ${before.of} before, ${after.right} of ${after.of} after`,
        '',
      )
      say(...(await save(model, curve, o.outputDir)), '', ...nextStep(o.dataset ?? shortPath(bundle('train.jsonl')), rowTokens, device))
      say(
        'ask what was just trained:',
        `  npx saqr generate --model_name_or_path ${join(o.outputDir, 'merged')} ${quoted(asked(test[0]!))}`,
      )
      return 0
    } finally {
      device.dispose()
    }
  },
})

async function exercise(dataset: string | null, count: number, signal: AbortSignal): Promise<{ train: Question[]; test: Question[] }> {
  if (dataset !== null) return keepBack(questionsOf(await loadRows(dataset, { split: 'train', signal })), count)
  const [train, test] = await Promise.all(['train.jsonl', 'test.jsonl'].map((file) => loadDataset(bundle(file))))
  return { train: questionsOf(train!), test: questionsOf(test!).slice(0, count) }
}

/** a text as one word of a shell */
function quoted(text: string): string {
  return `"${text.replace(/[\\"$`!]/g, '\\$&')}"`
}

function marksLines({ right, of, answers }: Marks, test: readonly Question[]): string[] {
  const lines = answers.flatMap((answer, i) => [
    `  asked   ${shown(test[i]!)}`,
    `  wanted  ${oneLine(test[i]!.answer)}`,
    `  said    ${oneLine(answer)}`,
    '',
  ])
  return [...lines, `  ${right} of ${of} right`]
}

interface Learned {
  curve: Point[]
  finished: boolean
  /** mean */
  rowTokens: number
}

async function learn(
  model: Examinee,
  train: readonly Question[],
  o: { numTrainEpochs: number; batchSize: number; learningRate: number; maxLength: number; outputDir: string },
  io: Io,
): Promise<Learned> {
  const { numTrainEpochs, learningRate, maxLength, outputDir } = o
  const trainer = new SFTTrainer({
    model,
    processingClass: model.tokenizer,
    trainDataset: toDataset(train, 'training rows'),
    args: {
      numTrainEpochs,
      learningRate,
      maxLength,
      outputDir,
      perDeviceTrainBatchSize: o.batchSize,
      lrSchedulerType: 'cosine',
      warmupSteps: 0.05,
      saveStrategy: 'no',
    },
  })
  const learned: Learned = { curve: [], finished: false, rowTokens: 0 }
  for await (const event of tracked(trainer.stream({ signal: io.signal }), [terminal(io.out, io.err, { curve: false })])) {
    if (event.type === 'start') learned.rowTokens = event.rowTokens / event.rows
    if (event.type === 'step') learned.curve.push({ x: event.step, y: event.loss })
    if (event.type === 'end') learned.finished = event.finished
  }
  return learned
}

async function save(model: Examinee, curve: readonly Point[], outputDir: string): Promise<string[]> {
  const [adapter, merged, svg] = ['adapter', 'merged', 'loss.svg'].map((name) => join(outputDir, name))
  await saveTrained(model.language, adapter!)
  await saveMerged(model.language, merged!)
  writeFileSync(svg!, lossCurveSvg({ title: 'training loss', train: curve }))
  return [`adapter (PEFT)  ${adapter}`, `merged model    ${merged}`, `loss curve      ${svg}`]
}
