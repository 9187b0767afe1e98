/**
 * The digest of every weight of a base, which its checkpoints are known by: read beside the first steps, waited for where the first checkpoint is
 * written, and not made where none is. A run that goes on has it before its first step.
 */
import { digestOfBase } from '../engine/digest.ts'
import type { Checkpoint } from '../formats/tensor.ts'

/** ms that a run which is stopped waits for what is still to be read */
const PATIENCE = 5000

export class BaseWeights {
  readonly #checkpoint: Checkpoint
  readonly #stop = new AbortController()
  #made: Promise<string> | null = null

  readonly #digestOf: typeof digestOfBase

  constructor(checkpoint: Checkpoint, digestOf = digestOfBase) {
    this.#checkpoint = checkpoint
    this.#digestOf = digestOf
  }

  /** Reads on while others compute; what is wrong is told to who asks. */
  begin(): void {
    this.#made ??= this.#digestOf(this.#checkpoint, { signal: this.#stop.signal, beside: true })
    this.#made.catch(() => {})
  }

  /**
   * @param signal once aborted, no more than PATIENCE is waited; of a run that ends of itself or is left, an aborted one
   * @returns the digest, or why there is none
   */
  async digest(signal?: AbortSignal): Promise<{ digest: string } | { why: string }> {
    this.begin()
    let timer: NodeJS.Timeout | undefined
    let patience = () => {}
    const late = new Promise<{ why: string }>((resolve) => {
      patience = () => {
        timer = setTimeout(() => resolve({ why: 'the run was stopped before all of them were read' }), PATIENCE)
      }
      if (signal?.aborted) patience()
      else signal?.addEventListener('abort', patience, { once: true })
    })
    try {
      return await Promise.race([
        this.#made!.then(
          (digest) => ({ digest }),
          (error: Error) => ({ why: error.message }),
        ),
        late,
      ])
    } finally {
      clearTimeout(timer)
      signal?.removeEventListener('abort', patience)
    }
  }

  /** Nobody asks any more. */
  stop(): void {
    this.#stop.abort(new Error('the run has ended'))
  }
}
