/** What the app's processes say to each other. Each call may be told pieces before it ends. */
import type { FineTuningJob, FineTuningJobEvent } from 'saqr'

/** Name of a call -> what it is given, the pieces it is told, what it comes to. */
export interface Calls {
  /** Starts a job over a file of examples (null: those that come with saqr), and follows it to its end. */
  train: { given: { rows: string | null }; piece: FineTuningJobEvent; result: FineTuningJob }
  /** Follows the job that is under way, from its first moment on; null: there is none. */
  follow: { given: object; piece: FineTuningJobEvent; result: FineTuningJob | null }
  /** Ends the job that is under way. */
  cancel: { given: object; piece: never; result: null }
  /** Asks a model that a job made. */
  ask: { given: { model: string; prompt: string }; piece: string; result: null }
}
export type Name = keyof Calls

export type Asked = { [N in Name]: { id: number; call: N } & Calls[N]['given'] }[Name]
export type Told =
  | { id: number; type: 'piece'; piece: unknown }
  | { id: number; type: 'done'; result: unknown }
  | { id: number; type: 'failed'; message: string }
