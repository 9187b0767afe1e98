/** Supervised fine-tuning with TRL's names. */
import { sftObjective } from './objectives/dft.ts'
import type { TrainingOptions } from './options/config.ts'
import { checkPacking } from './options/rules.ts'
import { sftTables } from './options/sft.ts'
import type { SFTTrainerInit } from './options/trainer-types.ts'
import { Trainer, type TrainerKind } from './trainer.ts'

export type { SFTTrainerInit } from './options/trainer-types.ts'
export type { TrainOutput, TrainRequest } from './trainer.ts'

const kind: TrainerKind<TrainingOptions> = { ...sftTables, check: checkPacking, objective: sftObjective }

/** Supervised fine-tuning, with TRL’s names. */
export class SFTTrainer extends Trainer<TrainingOptions> {
  /** @throws SaqrError OPTION_… for options that can't be carried out, each by name */
  constructor(init: SFTTrainerInit) {
    super(init, kind)
  }
}
