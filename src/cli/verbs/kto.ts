/** `saqr kto`: Kahneman-Tversky optimisation with the flags of `trl kto`. */
import { KTOTrainer } from '../../train/kto-trainer.ts'
import { kto as objective } from '../../train/objectives/kto.ts'
import { ktoOptions } from '../../train/options/kto.ts'
import { checkKto } from '../../train/options/kto-rules.ts'
import { renamed } from '../../train/options/retired.ts'
import { checkVerb } from '../../train/options/rules.ts'
import { trainWith } from '../train.ts'
import { defineVerb } from '../verb.ts'

export const kto = defineVerb({
  name: 'kto',
  summary: 'train a model on answers that are each rated as wanted or not',
  usage: '--model_name_or_path MODEL --dataset_name ROWS [options], where rows have prompt, completion and label',
  examples: [
    'saqr kto --model_name_or_path HuggingFaceTB/SmolLM2-135M-Instruct --dataset_name rated.jsonl --use_peft --learning_rate 5e-6 --output_dir out',
  ],
  fields: ktoOptions.fields,
  themes: ktoOptions.themes,
  renamed,
  async run({ options, spelling, io }) {
    checkVerb(options)
    checkKto(options)
    return trainWith(
      options,
      { io, spelling },
      objective(options),
      (training) => new KTOTrainer({ ...training, args: ktoOptions.args(options) }),
    )
  },
})
