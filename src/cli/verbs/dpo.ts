/** `saqr dpo`: direct preference optimisation with the flags of `trl dpo`. */
import { DPOTrainer } from '../../train/dpo-trainer.ts'
import { dpo as objective } from '../../train/objectives/dpo.ts'
import { dpoOptions } from '../../train/options/dpo.ts'
import { checkDpo } from '../../train/options/dpo-rules.ts'
import { renamed } from '../../train/options/retired.ts'
import { checkVerb } from '../../train/options/rules.ts'
import { trainWith } from '../train.ts'
import { defineVerb } from '../verb.ts'

export const dpo = defineVerb({
  name: 'dpo',
  summary: 'train a model towards the answers that people chose',
  usage: '--model_name_or_path MODEL --dataset_name ROWS [options], where rows have prompt, chosen and rejected',
  examples: [
    'saqr dpo --model_name_or_path HuggingFaceTB/SmolLM2-135M-Instruct --dataset_name pairs.jsonl --use_peft --learning_rate 5e-6 --output_dir out',
    'saqr dpo --config run.yaml --loss_type ipo --beta 0.1',
  ],
  fields: dpoOptions.fields,
  themes: dpoOptions.themes,
  renamed,
  async run({ options, spelling, io }) {
    checkVerb(options)
    checkDpo(options)
    return trainWith(
      options,
      { io, spelling },
      objective(options),
      (training) => new DPOTrainer({ ...training, args: dpoOptions.args(options) }),
    )
  },
})
