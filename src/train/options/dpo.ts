/** All options of direct preference optimisation. */
import { z } from 'zod'
import { option, say } from '../../error.ts'
import { divergences } from '../objectives/pair-losses.ts'
import { balance } from './common.ts'
import { beside, honoured, type OptionsOf, refused, subsumed } from './field.ts'
import { compute } from './precision.ts'
import { preferenceOptions, preferenceRows, preferenceSteps, reference } from './preference.ts'
import { retired, retiredOfPairs } from './retired.ts'
import { rows as rowsOfSft } from './rows.ts'
import { flag, optionalCount } from './schemas.ts'

const rows = {
  ...preferenceRows,
  truncation_mode: beside(
    { met: (o) => o.maxLength !== null, unless: say`without ${option('maxLength')}` },
    honoured(z.enum(['keep_start', 'keep_end']), 'keep_start', 'which end of a too long answer stays'),
  ),
  padding_free: rowsOfSft.padding_free,
  pad_token: rowsOfSft.pad_token,
}

export const lossTypes = [
  'sigmoid',
  'hinge',
  'ipo',
  'exo_pair',
  'nca_pair',
  'robust',
  'bco_pair',
  'sppo_hard',
  'aot',
  'aot_unpaired',
  'apo_zero',
  'apo_down',
  'discopop',
  'sft',
  'sigmoid_norm',
] as const
const lossType = z.enum(lossTypes)

const of = (what: string, ...types: string[]) => ({
  met: (o: Readonly<Record<string, unknown>>) => [o.lossType].flat().some((type) => types.includes(type as string)),
  unless: say`without ${option('lossType')} ${what}`,
})

const loss = {
  loss_type: honoured(z.union([z.array(lossType).min(1), lossType]), ['sigmoid'], 'loss of a pair, or several, which are added'),
  loss_weights: honoured(z.array(z.number()).nullable(), null, 'what the losses of loss_type are multiplied with; default: 1'),
  beta: honoured(z.number().positive(), 0.1, 'how much a distance from the reference counts; ipo: its τ'),
  label_smoothing: beside(
    of('robust, exo_pair, aot or aot_unpaired', 'robust', 'exo_pair', 'aot', 'aot_unpaired'),
    honoured(z.number().min(0).lt(1), 0, 'share of pairs that may be the wrong way round; sigmoid does not read it'),
  ),
  ld_alpha: honoured(
    z.number().min(0).max(1).nullable(),
    null,
    'weight of the tokens that a longer answer has beyond the shorter one’s length (LD-DPO); default: they count as all',
  ),
  f_divergence_type: honoured(
    z.enum(divergences),
    'reverse_kl',
    'divergence from the reference (f-DPO), for losses of the difference of both rewards',
  ),
  f_alpha_divergence_coef: beside(
    { met: (o) => o.fDivergenceType === 'alpha_divergence', unless: say`without ${option('fDivergenceType')} alpha_divergence` },
    honoured(z.number(), 0.5, 'α of the α-divergence'),
  ),
  use_weighting: honoured(flag, false, 'weigh pairs by how likely the model finds them (WPO)'),
  discopop_tau: beside(of('discopop', 'discopop'), honoured(z.number().positive(), 0.05, 'τ of discopop')),
  ...balance,
}

const NO_LIMIT = 'an answer has no limit of its own in TRL 1.16'
/** Names of older versions. */
const older = {
  ...retired,
  ...retiredOfPairs,
  max_completion_length: refused(optionalCount, null, say`${NO_LIMIT}: ${option('maxLength')} is that of prompt and answer`),
  padding_value: subsumed(z.int().nullable(), null, 'nothing is padded'),
  generate_during_eval: refused(flag, false, 'samples during evaluation are not supported yet; leave it out'),
}

export const dpoOptions = preferenceOptions({
  name: 'DPOTrainer',
  rows,
  steps: preferenceSteps,
  loss,
  reference,
  compute,
  older,
  takes: ['refModel'],
  refuses: {
    formattingFunc: 'rows of preferences have a prompt and two answers: make these columns with map',
    computeLossFunc: 'the loss is what lossType says',
  },
})
export type DpoOptions = OptionsOf<typeof dpoOptions.fields>
