/** What can be proven: TRL's trainers that saqr has, each with its options, their rules and its objective. */
import type { Dataset } from '../../data/dataset.ts'
import type { LanguageModel } from '../../engine/language-model.ts'
import type { Tokenizer } from '../../text/tokenizer.ts'
import type { TrainEvent } from '../../track/events.ts'
import { CPOTrainer } from '../../train/cpo-trainer.ts'
import { DPOTrainer } from '../../train/dpo-trainer.ts'
import { KTOTrainer } from '../../train/kto-trainer.ts'
import { cpo } from '../../train/objectives/cpo.ts'
import { sftObjective } from '../../train/objectives/dft.ts'
import { dpo } from '../../train/objectives/dpo.ts'
import { kto } from '../../train/objectives/kto.ts'
import type { Objective } from '../../train/objectives/objective.ts'
import { orpo } from '../../train/objectives/orpo.ts'
import type { VerbOptions } from '../../train/options/common.ts'
import { type CpoOptions, cpoOptions } from '../../train/options/cpo.ts'
import { type DpoOptions, dpoOptions } from '../../train/options/dpo.ts'
import { checkDpo } from '../../train/options/dpo-rules.ts'
import type { Fields } from '../../train/options/field.ts'
import { type KtoOptions, ktoOptions } from '../../train/options/kto.ts'
import { checkKto } from '../../train/options/kto-rules.ts'
import { type OrpoOptions, orpoOptions } from '../../train/options/orpo.ts'
import { checkSft, checkVerb } from '../../train/options/rules.ts'
import { type SftOptions, sftFields, trainerArgs } from '../../train/options/sft.ts'
import { ORPOTrainer } from '../../train/orpo-trainer.ts'
import { SFTTrainer } from '../../train/sft-trainer.ts'

export interface Training {
  model: { language: LanguageModel }
  processingClass: Tokenizer
  trainDataset: Dataset
  memory: string | number | null
}

export interface Kind {
  /** what runs on TRL's side */
  theirs: string
  fields: Fields
  check(options: VerbOptions): void
  objective(options: VerbOptions): Objective
  trainer(
    training: Training,
    options: VerbOptions,
  ): { firstSteps(steps: number, request: { signal: AbortSignal }): AsyncGenerator<TrainEvent> }
}

/** TRL keeps these trainers apart, without a command */
const alone = (trainer: string) => `trl.experimental’s ${trainer}`

/** by the name that the command has */
export const KINDS: Readonly<Record<string, Kind>> = {
  sft: {
    theirs: 'trl sft',
    fields: sftFields,
    check: (o) => checkSft(o as unknown as SftOptions),
    objective: (o) => sftObjective(o as unknown as SftOptions),
    trainer: (training, o) => new SFTTrainer({ ...training, args: trainerArgs(o as unknown as SftOptions) }),
  },
  dpo: {
    theirs: 'trl dpo',
    fields: dpoOptions.fields,
    check: (o) => {
      checkVerb(o)
      checkDpo(o as unknown as DpoOptions)
    },
    objective: (o) => dpo(o as unknown as DpoOptions),
    trainer: (training, o) => new DPOTrainer({ ...training, args: dpoOptions.args(o) }),
  },
  kto: {
    theirs: 'trl kto',
    fields: ktoOptions.fields,
    check: (o) => {
      checkVerb(o)
      checkKto(o as unknown as KtoOptions)
    },
    objective: (o) => kto(o as unknown as KtoOptions),
    trainer: (training, o) => new KTOTrainer({ ...training, args: ktoOptions.args(o) }),
  },
  orpo: {
    theirs: alone('ORPOTrainer'),
    fields: orpoOptions.fields,
    check: checkVerb,
    objective: (o) => orpo(o as unknown as OrpoOptions),
    trainer: (training, o) => new ORPOTrainer({ ...training, args: orpoOptions.args(o) }),
  },
  cpo: {
    theirs: alone('CPOTrainer'),
    fields: cpoOptions.fields,
    check: checkVerb,
    objective: (o) => cpo(o as unknown as CpoOptions),
    trainer: (training, o) => new CPOTrainer({ ...training, args: cpoOptions.args(o) }),
  },
}
