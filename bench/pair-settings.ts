/** What pairs are trained with, as bench:pair-folds' command line writes it: lr=1e-4,r=16,epochs=2 … */

/** one side of a fold is trained with it */
export interface PairSetting {
  /** as it was written */
  name: string
  learningRate: number
  epochs: number
  loss: string[]
  lossWeights: number[] | null
  beta: number
  /** of LoRA on every linear; null: all weights are trained */
  rank: number | null
  alpha: number
  maxLength: number
  batch: number
  scheduler: string
  labelSmoothing: number
  ldAlpha: number | null
  dtype: string
}

/**
 * LoRA and all weights at the rates that guides give, in bf16 as TRL trains; the same in f32, as bf16 rounds a long answer's log-probability by about
 * as much as small margins are; then other losses and larger batches.
 */
export const USUAL = [
  'lr=5e-5,r=16,epochs=3',
  'lr=1e-4,r=16,epochs=3',
  'lr=2e-4,r=16,epochs=3',
  'lr=5e-6,r=all,epochs=3',
  'lr=1e-5,r=all,epochs=3',
  'lr=2e-5,r=all,epochs=3',
  'lr=1e-4,r=16,epochs=3,dtype=float32',
  'lr=1e-5,r=all,epochs=3,dtype=float32',
  'lr=2e-4,r=16,epochs=3,loss=sigmoid+sft,weights=1+0.2',
  'lr=2e-4,r=16,epochs=3,ld=0.5',
  'lr=1e-4,r=16,epochs=3,loss=ipo',
  'lr=4e-4,r=64,epochs=3,batch=32',
]

const KEYS = ['lr', 'epochs', 'loss', 'weights', 'beta', 'r', 'alpha', 'length', 'batch', 'scheduler', 'smoothing', 'ld', 'dtype'] as const

/** @throws Error for a key that there isn't, or what is no number */
export function pairSetting(written: string, usual: { maxLength: number; dtype: string }): PairSetting {
  const given = new Map<string, string>()
  for (const part of written.split(',')) {
    const [key = '', value = ''] = part.split('=')
    if (!(KEYS as readonly string[]).includes(key) || value === '') throw new Error(`${written}: ${part} is none of ${KEYS.join('=, ')}=`)
    given.set(key, value)
  }
  const number = (key: (typeof KEYS)[number], otherwise: number): number => {
    const value = Number(given.get(key) ?? otherwise)
    if (Number.isNaN(value)) throw new Error(`${written}: ${key} is no number`)
    return value
  }
  const rank = given.get('r') === 'all' ? null : number('r', 16)
  return {
    name: written,
    learningRate: number('lr', 1e-4),
    epochs: number('epochs', 1),
    loss: (given.get('loss') ?? 'sigmoid').split('+'),
    lossWeights: given.get('weights')?.split('+').map(Number) ?? null,
    beta: number('beta', 0.1),
    rank,
    alpha: number('alpha', 2 * (rank ?? 0)),
    maxLength: number('length', usual.maxLength),
    batch: number('batch', 8),
    scheduler: given.get('scheduler') ?? 'linear',
    labelSmoothing: number('smoothing', 0),
    ldAlpha: given.has('ld') ? number('ld', 1) : null,
    dtype: given.get('dtype') ?? usual.dtype,
  }
}
