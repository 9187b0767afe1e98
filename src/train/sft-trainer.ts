/** Supervised fine-tuning with TRL's names. */
import { sft } from './objectives/sft.ts'
import { checkPacking } from './options/rules.ts'
import { type argsFields, sftTables } from './options/sft.ts'
import type { SFTTrainerInit } from './options/trainer-types.ts'
import { Trainer, type TrainerKind } from './trainer.ts'

export type { SFTTrainerInit } from './options/trainer-types.ts'
export type { TrainOutput, TrainRequest } from './trainer.ts'

const kind: TrainerKind<typeof argsFields> = { ...sftTables, check: checkPacking, objective: () => sft }

export class SFTTrainer extends Trainer<typeof argsFields> {
  /** @throws SaqrError OPTION_… for options that can't be carried out, each by name */
  constructor(init: SFTTrainerInit) {
    super(init, kind)
  }
}
