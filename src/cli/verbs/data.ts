/** `saqr data`: rows as `saqr sft` would take them with the same options, before anything is trained. */

import type { Known } from '../../engine/open-base.ts'
import { Message, option, SaqrError, say } from '../../error.ts'
import { checkReport } from '../../track/report.ts'
import { type DataReport, reportRows, reportTexts } from '../../train/data-report.ts'
import { sft as objective } from '../../train/objectives/sft.ts'
import { honoured } from '../../train/options/field.ts'
import { renamed } from '../../train/options/retired.ts'
import { checkPacking, checkRecipe } from '../../train/options/rules.ts'
import { flag } from '../../train/options/schemas.ts'
import { type SftOptions, sftFields, sftThemes } from '../../train/options/sft.ts'
import { dataPage } from '../data-page.ts'
import { lookUpForTraining } from '../load.ts'
import { rowsOf } from '../rows.ts'
import { defineVerb, type Io } from '../verb.ts'

const own = { json: honoured(flag, false, 'print it as JSON') }

export const data = defineVerb({
  name: 'data',
  summary: 'show rows as sft would train on them: their shape, tokens, what is learned, what is cut',
  usage: 'ROWS… [--model MODEL] [options of sft], where ROWS is a file, a folder or a Hub id',
  examples: [
    'saqr data alpaca.json',
    'saqr data chat.jsonl --model HuggingFaceTB/SmolLM2-135M-Instruct --assistant_only_loss --max_length 512',
    'saqr data --config run.yaml --json',
  ],
  fields: { ...sftFields, ...own },
  themes: [...sftThemes, { title: 'Only data', fields: own }],
  renamed,
  short: { model: 'model_name_or_path' },
  words: true,
  async run({ options, words, io }) {
    checkRecipe(options)
    checkPacking(options)
    checkReport(options)
    const recipes = words.length > 0 ? words.map((datasetName) => ({ ...options, datasetName, datasets: [] })) : [options]
    if (recipes[0]!.datasetName === null && recipes[0]!.datasets.length === 0)
      throw new SaqrError('OPTION_INVALID', 'saqr data needs rows: a file, a folder or a data set on the Hub')
    if (options.datasetStreaming)
      throw new SaqrError(
        'OPTION_UNSUPPORTED',
        say`saqr data compares all rows with each other, in memory: leave ${option('datasetStreaming')} out, or show a part of the file`,
      )
    let known: Promise<Known> | undefined
    const model = async () => (options.modelNameOrPath === null ? null : await (known ??= lookUpForTraining(options, io)))
    const reports: (DataReport | { source: string; error: { code: string; message: string } })[] = []
    const wrong: SaqrError[] = []
    for (const recipe of recipes) {
      try {
        const report = await reportOf(recipe, model, io)
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

/** Rows first, as in training: a name that is wrong should not cost the fetching of a tokenizer. */
async function reportOf(options: SftOptions, model: () => Promise<Known | null>, io: Io): Promise<DataReport> {
  const { trainDataset: dataset, evalDataset } = await rowsOf(options, io)
  const request = { dataset, evalDataset, objective, options, signal: io.signal }
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
