/** Odds ratio preference optimisation with TRL's names. */
import { orpo } from './objectives/orpo.ts'
import { orpoOptions } from './options/orpo.ts'
import type { OrpoTrainingOptions } from './options/orpo-config.ts'
import type { ORPOTrainerInit } from './options/trainer-types.ts'
import { Trainer, type TrainerKind } from './trainer.ts'

const kind: TrainerKind<OrpoTrainingOptions> = { ...orpoOptions.tables, objective: orpo }

/** Learns chosen answers and turns from rejected ones at once, without a reference (ORPO), with TRL’s names. */
export class ORPOTrainer extends Trainer<OrpoTrainingOptions> {
  /** @throws SaqrError OPTION_… for options that can't be carried out, each by name */
  constructor(init: ORPOTrainerInit) {
    super(init, kind)
  }
}
