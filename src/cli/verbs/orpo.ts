/** `saqr orpo`: odds ratio preference optimisation with the options of TRL's ORPOConfig, which has no command there. */
import { orpo as objective } from '../../train/objectives/orpo.ts'
import { orpoOptions } from '../../train/options/orpo.ts'
import { renamed } from '../../train/options/retired.ts'
import { checkVerb } from '../../train/options/rules.ts'
import { ORPOTrainer } from '../../train/orpo-trainer.ts'
import { trainWith } from '../train.ts'
import { defineVerb } from '../verb.ts'

export const orpo = defineVerb({
  name: 'orpo',
  summary: 'train a model on chosen answers and away from rejected ones, without a reference',
  usage: '--model_name_or_path MODEL --dataset_name ROWS [options], where rows have prompt, chosen and rejected',
  examples: [
    'saqr orpo --model_name_or_path HuggingFaceTB/SmolLM2-135M --dataset_name pairs.jsonl --use_peft --learning_rate 8e-6 --output_dir out',
  ],
  fields: orpoOptions.fields,
  themes: orpoOptions.themes,
  renamed,
  async run({ options, spelling, io }) {
    checkVerb(options)
    return trainWith(
      options,
      { io, spelling },
      objective(options),
      (training) => new ORPOTrainer({ ...training, args: orpoOptions.args(options) }),
    )
  },
})
