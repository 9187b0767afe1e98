/** `saqr plan`: memory, work and time of a run before there are weights or rows. It takes sft's options, so that a recipe can be planned as it is. */

import { openDevice } from '../../devices/open.ts'
import { settledConfig } from '../../engine/settle.ts'
import { SaqrError } from '../../error.ts'
import type { JsonObject } from '../../formats/json.ts'
import { localPath } from '../../hub/model.ts'
import { sftObjective } from '../../train/objectives/dft.ts'
import { honoured } from '../../train/options/field.ts'
import { renamed } from '../../train/options/retired.ts'
import { flag } from '../../train/options/schemas.ts'
import { sftFields, sftThemes } from '../../train/options/sft.ts'
import { reportPlan } from '../../train/plan-report.ts'
import { planPage } from '../plan-page.ts'
import { defineVerb } from '../verb.ts'

const NO_MODEL = 'saqr plan needs a model: a config.json, a model folder or a .gguf file'

const own = { json: honoured(flag, false, 'print it as JSON') }

export const plan = defineVerb({
  name: 'plan',
  summary: 'predict memory, work and time of a run from a config.json and the options of sft',
  usage: 'MODEL… [options of sft], where MODEL is a config.json, a model folder or a .gguf file',
  examples: [
    'saqr plan examples/configs/llama-3.1-8b.json --use_peft --load_in_4bit --max_length 2048',
    'saqr plan --config run.yaml --model_name_or_path ./model --memory 8GB --json',
  ],
  fields: { ...sftFields, ...own },
  themes: [...sftThemes, { title: 'Only plan', fields: own }],
  renamed,
  words: true,
  async run({ options, words, io }) {
    const names = words.length > 0 ? words : options.modelNameOrPath === null ? [] : [options.modelNameOrPath]
    if (names.length === 0) throw new SaqrError('OPTION_INVALID', NO_MODEL)
    const device = await openDevice(options.useCpu ? 'cpu' : options.device, { threads: options.threads })
    try {
      const reports = names.map((name) => reportPlan(name, configOf(name), options, device, sftObjective(options)))
      if (options.json) io.out.write(`${JSON.stringify(words.length > 1 ? reports : reports[0], null, 2)}\n`)
      else io.out.write(reports.map(planPage).join('\n'))
      return 0
    } finally {
      device.dispose()
    }
  },
})

/** A name on the Hub is refused as what it is, and not as a file that is missing. */
function configOf(name: string): JsonObject {
  if (localPath(name) !== undefined) return settledConfig(name)
  throw new SaqrError(
    'OPTION_INVALID',
    `${name} is not a file or folder here, and saqr plan fetches nothing from the Hub: fetch its config.json and name that`,
  )
}
