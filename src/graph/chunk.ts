/** How a pass's positions are cut for the head, whose logits are the largest tensor there is. */
import type { TrainingSpec } from './training.ts'

/** logits of a head chunk, bytes at most */
const LOGITS = 64 * 2 ** 20

/** positions of a chunk are a multiple of this */
const POSITIONS = 16

/**
 * Positions of a head chunk in a pass of T tokens: as few chunks as LOGITS lets there be, all about alike, because a chunk is computed whole
 * also where fewer positions are left for it.
 */
export function chunkOf({ model, activation }: Pick<TrainingSpec, 'model' | 'activation'>, tokens: number): number {
  const row = model.vocab * (activation === 'f32' ? 4 : 2)
  const most = Math.max(1, Math.floor(LOGITS / row / POSITIONS)) * POSITIONS
  const chunks = Math.ceil(tokens / most)
  return Math.ceil(tokens / chunks / POSITIONS) * POSITIONS
}
