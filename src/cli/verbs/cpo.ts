/** `saqr cpo`: contrastive preference optimisation, SimPO and AlphaPO with the options of TRL's CPOConfig, which has no command there. */

import { CPOTrainer } from '../../train/cpo-trainer.ts'
import { cpo as objective } from '../../train/objectives/cpo.ts'
import { cpoOptions } from '../../train/options/cpo.ts'
import { renamed } from '../../train/options/retired.ts'
import { checkVerb } from '../../train/options/rules.ts'
import { trainWith } from '../train.ts'
import { defineVerb } from '../verb.ts'

export const cpo = defineVerb({
  name: 'cpo',
  summary: 'train a model towards chosen answers without a reference (CPO, SimPO)',
  usage: '--model_name_or_path MODEL --dataset_name ROWS [options], where rows have prompt, chosen and rejected',
  examples: [
    'saqr cpo --model_name_or_path HuggingFaceTB/SmolLM2-135M --dataset_name pairs.jsonl --loss_type simpo --cpo_alpha 0 --use_peft --learning_rate 8e-6 --output_dir out',
  ],
  fields: cpoOptions.fields,
  themes: cpoOptions.themes,
  renamed,
  async run({ options, spelling, io }) {
    checkVerb(options)
    return trainWith(
      options,
      { io, spelling },
      objective(options),
      (training) => new CPOTrainer({ ...training, args: cpoOptions.args(options) }),
    )
  },
})
