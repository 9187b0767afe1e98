/**
 * Every error a user can cause is a `SaqrError`: a stable code for programs, and a message that says
 * what is wrong, where (file, row, key) and what to do about it.
 */
export class SaqrError extends Error {
  override readonly name = 'SaqrError'
  /** Stable across versions: `FORMAT_…`, `MODEL_…`, `DATA_…`, `OPTION_…`, `MEMORY_…`, `DEVICE_…`, `TRAIN_…`. */
  readonly code: string

  constructor(code: string, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }
}
