/** What options of DPO mean together. */
import { option, SaqrError, say } from '../../error.ts'
import type { PairLoss } from '../objectives/pair-losses.ts'
import { pairLosses } from '../objectives/pair-losses.ts'
import type { DpoTrainingOptions } from './dpo-config.ts'

/** @throws SaqrError OPTION_INVALID, OPTION_REFUSED for what TRL refuses too, or computes wrongly */
export function checkDpo(o: DpoTrainingOptions): void {
  const types = [o.lossType].flat()
  const refuse = (message: ReturnType<typeof say>): never => {
    throw new SaqrError('OPTION_INVALID', message)
  }
  if (o.lossWeights !== null && o.lossWeights.length !== types.length)
    refuse(
      say`${option('lossWeights')} has ${o.lossWeights.length} numbers for ${types.length} losses (${option('lossType')} ${types.join(' ')}): give each its own`,
    )
  const fixed = types.find((type) => type !== 'sft' && !(pairLosses as Readonly<Record<string, PairLoss>>)[type]?.divergent)
  if (o.fDivergenceType !== 'reverse_kl' && fixed !== undefined)
    refuse(
      say`${option('fDivergenceType')} ${o.fDivergenceType} has no meaning for ${option('lossType')} ${fixed}, which is no loss of the difference of both rewards: use reverse_kl`,
    )
  if (types.includes('exo_pair') && o.labelSmoothing === 0)
    refuse(say`${option('lossType')} exo_pair needs ${option('labelSmoothing')} above 0, such as 0.001`)
  if (types.includes('robust') && o.labelSmoothing >= 0.5)
    refuse(say`${option('labelSmoothing')} ${o.labelSmoothing}: robust needs less than 0.5, half of all pairs`)
  const sorts = types.find((type) => type === 'aot' || type === 'aot_unpaired')
  if (o.useWeighting && sorts) refuse(say`${option('useWeighting')} has no meaning for ${option('lossType')} ${sorts}, which sorts pairs`)
  if (o.useWeighting && types.includes('sft'))
    refuse(
      say`${option('useWeighting')} has no meaning for ${option('lossType')} sft, which is of all chosen tokens together: leave one of them out`,
    )
}
