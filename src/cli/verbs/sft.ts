/** `saqr sft`: supervised fine-tuning with the flags of `trl sft`. */
import { sftObjective } from '../../train/objectives/dft.ts'
import { renamed } from '../../train/options/retired.ts'
import { checkSft } from '../../train/options/rules.ts'
import { sftFields, sftThemes, trainerArgs } from '../../train/options/sft.ts'
import { SFTTrainer } from '../../train/sft-trainer.ts'
import { trainWith } from '../train.ts'
import { defineVerb } from '../verb.ts'

export const sft = defineVerb({
  name: 'sft',
  summary: 'fine-tune a model on your rows',
  usage: '--model_name_or_path MODEL --dataset_name ROWS [options]',
  examples: [
    'saqr sft --model_name_or_path HuggingFaceTB/SmolLM2-135M-Instruct --dataset_name rows.jsonl --use_peft --learning_rate 2e-4 --output_dir out',
    'saqr sft --config run.yaml --memory 8GB',
  ],
  fields: sftFields,
  themes: sftThemes,
  renamed,
  run({ options, spelling, io }) {
    checkSft(options)
    return trainWith(
      options,
      { io, spelling },
      sftObjective(options),
      (training) => new SFTTrainer({ ...training, args: trainerArgs(options) }),
    )
  },
})
