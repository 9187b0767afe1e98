/** `saqr data`: rows as the trainer that they are for would take them with the same options, before anything is trained. */
import { z } from 'zod'
import type { Known } from '../../engine/open-base.ts'
import { Message, SaqrError, type Spelling } from '../../error.ts'
import { checkReport } from '../../track/report.ts'
import { type DataReport, reportRows, reportTexts, type TrainOptions } from '../../train/data-report.ts'
import type { VerbOptions } from '../../train/options/common.ts'
import { honoured } from '../../train/options/field.ts'
import { type Given, resolve } from '../../train/options/resolve.ts'
import { renamed } from '../../train/options/retired.ts'
import { checkRecipe } from '../../train/options/rules.ts'
import { flag } from '../../train/options/schemas.ts'
import { sftThemes } from '../../train/options/sft.ts'
import { dataPage } from '../data-page.ts'
import { lookUpForTraining } from '../load-for-training.ts'
import { rowsOf } from '../rows.ts'
import { fieldsOfAll, ofOthers, type TrainerName, trainerOf, trainers } from '../trainers.ts'
import { defineVerb, type Io } from '../verb.ts'

const own = {
  trainer: honoured(
    z.enum(Object.keys(trainers) as [TrainerName, ...TrainerName[]]).nullable(),
    null,
    'whose rows they are; default: what their columns say, pairs dpo’s, rated answers kto’s, others sft’s',
  ),
  json: honoured(flag, false, 'print it as JSON'),
}

export const data = defineVerb({
  name: 'data',
  summary: 'show rows as they would be trained on: their shape, tokens, what is learned, what is cut',
  usage: 'ROWS… [--model MODEL] [options of sft, dpo, orpo, kto or cpo], where ROWS is a file, a folder or a Hub id',
  examples: [
    'saqr data alpaca.json',
    'saqr data chat.jsonl --model HuggingFaceTB/SmolLM2-135M-Instruct --assistant_only_loss --max_length 512',
    'saqr data pairs.jsonl --model HuggingFaceTB/SmolLM2-135M-Instruct --trainer orpo',
    'saqr data --config run.yaml --json',
  ],
  fields: { ...fieldsOfAll, ...own },
  themes: [...sftThemes, ofOthers, { title: 'Only data', fields: own }],
  renamed,
  short: { model: 'model_name_or_path' },
  words: true,
  resolvesLater: true,
  async run({ options, words, given, spelling, io }) {
    const verb = options as unknown as VerbOptions & typeof options
    checkRecipe(verb)
    checkReport(verb)
    const recipes: Partial<VerbOptions>[] = words.length > 0 ? words.map((datasetName) => ({ datasetName, datasets: [] })) : [{}]
    if (words.length === 0 && verb.datasetName === null && verb.datasets.length === 0)
      throw new SaqrError('OPTION_INVALID', 'saqr data needs rows: a file, a folder or a data set on the Hub')
    let known: Promise<Known> | undefined
    const model = async () => (verb.modelNameOrPath === null ? null : await (known ??= lookUpForTraining(verb, io)))
    const told = new Set<string>()
    const tell = (notes: readonly string[]) => {
      for (const note of notes) if (!told.has(note)) io.err.write(`${note}\n`)
      for (const note of notes) told.add(note)
    }
    const reports: (DataReport | { source: string; error: { code: string; message: string } })[] = []
    const wrong: SaqrError[] = []
    for (const recipe of recipes) {
      try {
        const report = await reportOf({ recipe, options: verb, given, spelling, trainer: options.trainer, tell, model, io })
        reports.push(report)
        if (!options.json) io.out.write(`${reports.length > 1 ? '\n' : ''}${dataPage(report, io.out)}`)
      } catch (error) {
        if (recipes.length === 1 || !(error instanceof SaqrError)) throw error
        wrong.push(error)
        reports.push({ source: recipe.datasetName!, error: { code: error.code, message: error.message } })
      }
    }
    if (options.json) io.out.write(`${JSON.stringify(recipes.length > 1 ? reports : reports[0], null, 2)}\n`)
    if (wrong.length > 0) throw together(wrong)
    return 0
  },
})

interface PageRequest {
  /** the rows that are meant, beside the options */
  recipe: Partial<VerbOptions>
  options: VerbOptions
  given: readonly Given[]
  spelling: Spelling
  trainer: TrainerName | null
  tell(notes: readonly string[]): void
  model(): Promise<Known | null>
  io: Io
}

/** Rows first, as in training: a name that is wrong should not cost the fetching of a tokenizer. */
async function reportOf({ recipe, options, given, spelling, trainer, tell, model, io }: PageRequest): Promise<DataReport> {
  const { trainDataset: dataset, evalDataset } = await rowsOf({ ...options, ...recipe }, io)
  const name = trainer ?? trainerOf(dataset)
  const { fields, objective: objectiveOf } = trainers[name]
  const read = given.filter(({ name: one }) => Object.hasOwn(fields, one) && fields[one as keyof typeof fields].status === 'honoured')
  const resolved = resolve(fields, read)
  const idle = given.filter(
    ({ name: one }) => !Object.hasOwn(fields, one) && !Object.hasOwn(own, one) && one !== 'config' && one !== 'verbose',
  )
  tell([...resolved.notes, ...idle.map(({ said }) => `${said} has no effect on ${dataset.source}: ${name} has no such option`)])
  const o = { ...(resolved.options as unknown as TrainOptions), ...recipe }
  const request = { dataset, evalDataset, objective: objectiveOf(o), options: o, signal: io.signal, spelling }
  const known = await model()
  return known === null ? reportTexts(request) : reportRows(request, known)
}

/** Several mistakes as one, a line each. */
function together(wrong: readonly SaqrError[]): SaqrError {
  return wrong.length === 1
    ? wrong[0]!
    : new SaqrError(
        wrong[0]!.code,
        Message.join(
          wrong.map(({ said }) => said),
          '\n',
        ),
      )
}
