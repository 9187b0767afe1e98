/** Tiny models whose vocabulary was resized for added tokens, trained over it in every way, saved: what each says of a row. */
import { join } from 'node:path'
import { planPasses } from '../../src/data/passes.ts'
import type { LanguageModel } from '../../src/engine/language-model.ts'
import { PassRunner } from '../../src/engine/runner.ts'
import { addNewTokens, FastLanguageModel, type PeftOptions, type PretrainedModel, SFTTrainer } from '../../src/index.ts'
import { SCORES } from '../../src/ops/target-log-probs/op.ts'
import { sft } from '../../src/train/objectives/sft.ts'

/** rows that the embedding has afterwards */
export const ROWS = 264
/** with added tokens: 260 is <think>, 261 </think> */
export const ROW = [64, 260, 3, 257, 4, 261, 65, 260, 12, 9, 261, 30]
const TEXTS = ['a <think> the b</think> c', '<think> abc the the</think> x', 'the <think>y</think>', 'q the <think> a b c</think>']

export const OPTIONS = { dtype: 'float32', loadIn4bit: false, device: 'cpu', maxSeqLength: 64 } as const

type Way = { base: string; peft?: PeftOptions; load?: object }
/** by the name of the folder it is saved in */
export const WAYS: Record<string, Way> = {
  'tied-frozen': { base: 'tied-full', peft: {} },
  'untied-frozen': { base: 'untied-full', peft: {} },
  'tied-embedding': { base: 'tied-full', peft: { modulesToSave: ['embed_tokens'] } },
  'tied-as-one': { base: 'tied-full', peft: { modulesToSave: ['embed_tokens'], ensureWeightTying: true } },
  'untied-both': { base: 'untied-full', peft: { modulesToSave: ['embed_tokens', 'lm_head'] } },
  'untied-head': { base: 'untied-full', peft: { modulesToSave: ['lm_head'] } },
  'tied-tokens': { base: 'tied-full', peft: { trainableTokenIndices: [261, 260] } },
  'untied-tokens': { base: 'untied-full', peft: { trainableTokenIndices: { embed_tokens: [260, 261], lm_head: [261, 9] } } },
  'tied-low-rank': { base: 'tied-full', peft: { targetModules: ['q_proj', 'embed_tokens'] } },
  'untied-nf4': { base: 'untied-full', peft: { modulesToSave: ['embed_tokens', 'lm_head'] }, load: { loadIn4bit: true } },
  'untied-low-rank-head': { base: 'untied-full', peft: { targetModules: ['q_proj', 'lm_head'] } },
}

export async function logProbabilities({ opened, spec, trained }: LanguageModel, row: readonly number[] = ROW): Promise<Float32Array> {
  const runner = new PassRunner(opened.device, {
    model: opened.model,
    adapter: opened.adapter(spec, false),
    activation: opened.choice.dtype,
    layout: trained?.layout ?? { scope: '', size: 0, entries: new Map() },
    policy: () => () => 'all',
    score: sft.score,
    gradients: false,
  })
  const ids = Int32Array.from(row)
  const one = { ids, targets: Uint8Array.from(ids, (_, i) => (i > 0 ? 1 : 0)), row: 1, source: 'row' }
  const [pass] = planPasses([one], { maxPassTokens: 512, quantum: 16 })
  const { entries } = await runner.run(pass!, { seed: 0, step: 0, lossScale: 1 })
  return entries.filter((_, i) => i % SCORES === 0)
}

/** Opened, two tokens added, resized to ROWS. */
export async function openExtended(folder: string, options: object = {}) {
  const { model, tokenizer } = await FastLanguageModel.fromPretrained(folder, { ...OPTIONS, ...options })
  await addNewTokens(model, tokenizer, { newTokens: ['<think>', '</think>'] })
  await model.resizeTokenEmbeddings(ROWS)
  return { model, tokenizer }
}

export async function train(model: PretrainedModel, outputDir: string, args: object = {}): Promise<void> {
  const trainer = new SFTTrainer({
    model,
    processingClass: model.tokenizer,
    trainDataset: TEXTS.map((text) => ({ text })),
    args: { outputDir, maxSteps: 3, perDeviceTrainBatchSize: 2, learningRate: 0.02, saveStrategy: 'no', reportTo: 'none', ...args },
    report: [],
  } as never)
  await trainer.train()
}

/** Trained and saved in `out`/name, and merged in `out`/name-merged: log-probabilities of ROW before it was saved. */
export async function makeWay(root: string, name: string, out: string): Promise<Float32Array> {
  const { base, peft, load } = WAYS[name]!
  const { model } = await openExtended(join(root, base), load)
  try {
    const adapted = FastLanguageModel.getPeftModel(model, { r: 2, loraAlpha: 4, targetModules: ['q_proj'], ...peft })
    await train(adapted, join(out, `${name}-run`))
    await adapted.savePretrained(join(out, name))
    // of a base in NF4 the weights that the files have are merged
    if (!load) await adapted.savePretrainedMerged(join(out, `${name}-merged`))
    return await logProbabilities(adapted.language)
  } finally {
    await model.dispose()
  }
}

/** Two adapters over one resized base, saved together in `folder`: what each says of ROW, one behind the other. */
export async function makeTwo(root: string, work: string, folder: string): Promise<Float32Array> {
  const { model } = await openExtended(join(root, 'untied-full'))
  try {
    const make = async (name: string, options: PeftOptions) => {
      const adapted = FastLanguageModel.getPeftModel(model, { r: 2, loraAlpha: 4, ...options })
      await train(adapted, join(work, `${name}-run`))
      await adapted.savePretrained(join(work, name))
      return adapted
    }
    await (await make('other', { targetModules: ['v_proj', 'up_proj'], r: 4 })).dispose()
    const peft = await make('first', { targetModules: ['q_proj'] })
    await peft.loadAdapter(join(work, 'other'), 'other')
    const first = await logProbabilities(peft.language)
    peft.setAdapter('other')
    const other = await logProbabilities(peft.language)
    await peft.savePretrained(folder)
    return Float32Array.from([...first, ...other])
  } finally {
    await model.dispose()
  }
}
