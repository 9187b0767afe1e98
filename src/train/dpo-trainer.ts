/** Direct preference optimisation with TRL's names. */
import { dpo } from './objectives/dpo.ts'
import { dpoTables } from './options/dpo.ts'
import { checkDpo } from './options/dpo-rules.ts'
import type { DPOTrainerInit } from './options/trainer-types.ts'
import { Trainer, type TrainerKind } from './trainer.ts'

type Fields = typeof dpoTables.config

const kind: TrainerKind<Fields> = { ...dpoTables, check: checkDpo, objective: dpo }

export class DPOTrainer extends Trainer<Fields> {
  /** @throws SaqrError OPTION_… for options that can't be carried out, each by name */
  constructor(init: DPOTrainerInit) {
    super(init, kind)
  }
}
