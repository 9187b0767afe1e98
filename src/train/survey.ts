/** What a run asks of all its examples before its first step, gone through once: millions of them may lie on disk. */
import { unhurried } from '../data/breathe.ts'
import type { Example } from '../data/example.ts'
import type { Model } from '../models/family.ts'
import { checkExample } from './check-rows.ts'
import { RowsDigest } from './identity.ts'
import { Sizes } from './sizes.ts'
import { targetsOf } from './start-event.ts'

export interface Survey {
  tokens: number
  targets: number
  /** of ids, targets and where sequences start */
  digest: string
  sizes: Pick<Sizes, 'bounds'>
}

/** @throws SaqrError DATA_TOO_LONG, MODEL_VOCABULARY for an example that the model can't be trained on; the signal's reason */
export async function surveyOf(examples: readonly Example[], model: Model, signal: AbortSignal | undefined): Promise<Survey> {
  const sizes = new Sizes()
  const rows = new RowsDigest()
  let [tokens, targets] = [0, 0]
  for await (const example of unhurried(examples, signal)) {
    checkExample(example, model)
    sizes.add(example)
    rows.add(example)
    tokens += example.ids.length
    targets += targetsOf(example)
  }
  return { tokens, targets, digest: rows.digest(), sizes }
}
