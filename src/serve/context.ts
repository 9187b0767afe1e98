/** What every request is answered with. */
import type { ServedModels } from './models.ts'
import type { Scheduler } from './scheduler.ts'

export interface Context {
  models: ServedModels
  scheduler: Scheduler
  /** tokens of an answer where the request names no number */
  maxNewTokens: number
}

export interface Usage {
  prompt_tokens: number
  completion_tokens: number
  total_tokens: number
}

export function usageOf(prompt: number, completion: number): Usage {
  return { prompt_tokens: prompt, completion_tokens: completion, total_tokens: prompt + completion }
}

/** what a response is known by */
export function headOf(kind: string, object: string, model: string) {
  return { id: `${kind}-${crypto.randomUUID().replaceAll('-', '')}`, object, created: Math.floor(Date.now() / 1000), model }
}

/** What all rows come to, each of which goes on by itself; the first that fails ends the others. */
export async function allOf<T>(signal: AbortSignal, starts: readonly ((signal: AbortSignal) => Promise<T>)[]): Promise<T[]> {
  const failed = new AbortController()
  const either = AbortSignal.any([signal, failed.signal])
  try {
    return await Promise.all(starts.map((start) => start(either)))
  } catch (error) {
    failed.abort(error)
    throw error
  }
}
