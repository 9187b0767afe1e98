/** Every op's definition by name: what the reference device runs. */
import { reference as adamw } from './adamw/reference.ts'
import { reference as add } from './add/reference.ts'
import { reference as attention } from './attention/reference.ts'
import { reference as cacheWrite } from './cache-write/reference.ts'
import { reference as cast } from './cast/reference.ts'
import { reference as columnSum } from './column-sum/reference.ts'
import { reference as dropout } from './dropout/reference.ts'
import { reference as embed } from './embed/reference.ts'
import { reference as gather } from './gather/reference.ts'
import { reference as gradNorm } from './grad-norm/reference.ts'
import type { Reference } from './op.ts'
import { reference as product } from './product/reference.ts'
import { reference as rmsNorm } from './rms-norm/reference.ts'
import { reference as rope } from './rope/reference.ts'
import { reference as scale } from './scale/reference.ts'
import { reference as swiglu } from './swiglu/reference.ts'
import { reference as targetLogProbs } from './target-log-probs/reference.ts'
import { reference as weightGrad } from './weight-grad/reference.ts'

/** @throws when two folders define one name */
function merge(maps: readonly Readonly<Record<string, Reference>>[]): Readonly<Record<string, Reference>> {
  const all: Record<string, Reference> = {}
  for (const [name, reference] of maps.flatMap((map) => Object.entries(map))) {
    if (all[name]) throw new Error(`two ops are named '${name}'`)
    all[name] = reference
  }
  return all
}

export const references = merge([
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
])
