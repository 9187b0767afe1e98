/** What options of KTO mean together. */
import { option, SaqrError, say } from '../../error.ts'
import type { KtoTrainingOptions } from './kto-config.ts'

/** @throws SaqrError OPTION_INVALID for what TRL refuses too */
export function checkKto(o: KtoTrainingOptions): void {
  if (o.lossType !== 'kto') return
  if (o.trainSamplingStrategy !== 'sequential')
    throw new SaqrError(
      'OPTION_INVALID',
      say`${option('lossType')} kto needs ${option('trainSamplingStrategy')} sequential: it pairs answers with the prompts of their neighbours`,
    )
  if (o.perDeviceTrainBatchSize < 2)
    throw new SaqrError(
      'OPTION_INVALID',
      say`${option('lossType')} kto needs micro-batches of 2 rows or more (${option('perDeviceTrainBatchSize')}): with one, the distance from the reference is that of the row itself`,
    )
}
