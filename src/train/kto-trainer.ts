/** Kahneman-Tversky optimisation with TRL's names. */
import { option, SaqrError, say } from '../error.ts'
import { kto } from './objectives/kto.ts'
import { coefficientOf } from './objectives/term.ts'
import { ktoOptions } from './options/kto.ts'
import type { KtoTrainingOptions } from './options/kto-config.ts'
import { checkKto } from './options/kto-rules.ts'
import type { KTOTrainerInit } from './options/trainer-types.ts'
import { Trainer, type TrainerKind } from './trainer.ts'

const kind: TrainerKind<KtoTrainingOptions> = {
  ...ktoOptions.tables,
  check(options, { model }) {
    checkKto(options)
    // answers to other prompts lie in the same passes, and TRL balances experts over the rows' own
    if (options.lossType === 'kto' && coefficientOf(model.language.opened.model, options, {}) > 0)
      throw new SaqrError(
        'OPTION_REFUSED',
        say`a balance loss of experts beside ${option('lossType')} kto is not supported yet: set ${option('routerAuxLossCoef')} to 0`,
      )
  },
  objective: kto,
}

/** Trains on answers that are each rated as wanted or not (KTO), with TRL’s names. */
export class KTOTrainer extends Trainer<KtoTrainingOptions> {
  /** @throws SaqrError OPTION_… for options that can't be carried out, each by name */
  constructor(init: KTOTrainerInit) {
    super(init, kind)
  }
}
