/** Every op's cases: what the suite runs on every device, and `npm run bench:ops` times. */
import { cases as adamw } from './adamw/cases.ts'
import { cases as add } from './add/cases.ts'
import { cases as attention } from './attention/cases.ts'
import { cases as cacheWrite } from './cache-write/cases.ts'
import { cases as cast } from './cast/cases.ts'
import { cases as columnSum } from './column-sum/cases.ts'
import { cases as dropout } from './dropout/cases.ts'
import { cases as embed } from './embed/cases.ts'
import { cases as gather } from './gather/cases.ts'
import { cases as gradNorm } from './grad-norm/cases.ts'
import type { OpCase } from './op.ts'
import { cases as product } from './product/cases.ts'
import { cases as rmsNorm } from './rms-norm/cases.ts'
import { cases as rope } from './rope/cases.ts'
import { cases as scale } from './scale/cases.ts'
import { cases as swiglu } from './swiglu/cases.ts'
import { cases as targetLogProbs } from './target-log-probs/cases.ts'
import { cases as weightGrad } from './weight-grad/cases.ts'

export const cases: readonly OpCase[] = [
  adamw,
  add,
  attention,
  cacheWrite,
  cast,
  columnSum,
  dropout,
  embed,
  gather,
  gradNorm,
  product,
  rmsNorm,
  rope,
  scale,
  swiglu,
  targetLogProbs,
  weightGrad,
].flat()
