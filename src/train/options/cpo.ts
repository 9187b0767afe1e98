/** All options of contrastive preference optimisation. */
import { z } from 'zod'
import { option, say } from '../../error.ts'
import { beside, honoured, type OptionsOf } from './field.ts'
import { computeAlone, olderAlone, orpoLoss, orpoRows } from './orpo.ts'
import { preferenceOptions, preferenceSteps } from './preference.ts'

const { padding_value: __, ...rows } = orpoRows
const { beta: _, ...rest } = orpoLoss

const loss = {
  loss_type: honoured(
    z.enum(['sigmoid', 'hinge', 'ipo', 'simpo', 'alphapo']),
    'sigmoid',
    'loss of the difference of both answers; simpo: of means over tokens, less a margin; alphapo: simpo without the likelihood',
  ),
  beta: honoured(z.number().positive(), 0.1, 'how much the difference counts; ipo: its τ'),
  label_smoothing: beside(
    { met: (o) => o.lossType !== 'hinge' && o.lossType !== 'ipo', unless: say`with ${option('lossType')} hinge or ipo` },
    honoured(z.number().min(0).max(1), 0, 'share of pairs that may be the wrong way round'),
  ),
  cpo_alpha: beside(
    { met: (o) => o.lossType !== 'alphapo', unless: say`with ${option('lossType')} alphapo` },
    honoured(z.number(), 1, 'weight of the likelihood of the chosen answers; SimPO: 0'),
  ),
  simpo_gamma: beside(
    { met: (o) => o.lossType === 'simpo' || o.lossType === 'alphapo', unless: say`without ${option('lossType')} simpo` },
    honoured(z.number(), 0.5, 'margin that simpo asks for'),
  ),
  alpha: honoured(z.number(), 0, 'bends rewards (AlphaPO): (1 − p^−α) / α; 0: log-probabilities as they are'),
  ...rest,
}

export const cpoOptions = preferenceOptions({
  name: 'CPOTrainer',
  rows,
  steps: preferenceSteps,
  loss,
  reference: {},
  compute: computeAlone,
  older: olderAlone,
  takes: [],
  refuses: {
    formattingFunc: 'rows of preferences have a prompt and two answers: make these columns with map',
    refModel: 'CPO measures against no reference',
    computeLossFunc: 'the loss is what lossType says',
  },
})
export type CpoOptions = OptionsOf<typeof cpoOptions.fields>
