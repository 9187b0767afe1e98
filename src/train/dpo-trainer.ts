/** Direct preference optimisation with TRL's names. */
import { dpo } from './objectives/dpo.ts'
import { dpoOptions } from './options/dpo.ts'
import type { DpoTrainingOptions } from './options/dpo-config.ts'
import { checkDpo } from './options/dpo-rules.ts'
import type { DPOTrainerInit } from './options/trainer-types.ts'
import { Trainer, type TrainerKind } from './trainer.ts'

const kind: TrainerKind<DpoTrainingOptions> = { ...dpoOptions.tables, check: checkDpo, objective: dpo }

/** Trains towards chosen answers and away from rejected ones, measured from a reference (DPO), with TRL’s names. */
export class DPOTrainer extends Trainer<DpoTrainingOptions> {
  /** @throws SaqrError OPTION_… for options that can't be carried out, each by name */
  constructor(init: DPOTrainerInit) {
    super(init, kind)
  }
}
