/** Contrastive preference optimisation, SimPO and AlphaPO, with TRL's names. */
import { cpo } from './objectives/cpo.ts'
import { cpoOptions } from './options/cpo.ts'
import type { CpoTrainingOptions } from './options/cpo-config.ts'
import type { CPOTrainerInit } from './options/trainer-types.ts'
import { Trainer, type TrainerKind } from './trainer.ts'

const kind: TrainerKind<CpoTrainingOptions> = { ...cpoOptions.tables, objective: cpo }

/** Trains towards chosen answers without a reference (CPO, SimPO), with TRL’s names. */
export class CPOTrainer extends Trainer<CpoTrainingOptions> {
  /** @throws SaqrError OPTION_… for options that can't be carried out, each by name */
  constructor(init: CPOTrainerInit) {
    super(init, kind)
  }
}
