/** What the process that trains is told, and what it says: values between two processes. */
import type { BaseChoice } from '../engine/opened-model.ts'
import type { FineTuningHyperparameters, FineTuningMethod } from './objects.ts'

/** How what is trained over is opened: as the one that is served. */
export interface BaseSettings {
  /** as openDevice takes it */
  device: string
  threads: number | null
  choice: BaseChoice
  /** instead of the checkpoint's */
  eosToken: string | null
  /** Jinja source */
  chatTemplate: string | null
}

export interface Source {
  path: string
  /** what messages call it */
  said: string
}

/** A job to do. */
export interface Work extends BaseSettings {
  /** the job's own folder */
  folder: string
  /** Hub id or path, and the commit of the former */
  base: string
  revision: string | null
  /** bytes that it may take on the device; null: what is free */
  memory: number | null
  type: FineTuningMethod['type']
  hyperparameters: Record<keyof FineTuningHyperparameters, number>
  seed: number
  training: Source
  validation: Source | null
}

export type Told = { type: 'work'; work: Work } | { type: 'stop' }

/** an entry of trainer_state.json's log_history */
export type HistoryEntry = Readonly<Record<string, number>>

export type Heard =
  /** bytes: what it takes on the device, as planned; history: of the steps done before this start */
  | { type: 'started'; steps: number; training: string; bytes: number; history: readonly HistoryEntry[] }
  | { type: 'metrics'; entry: HistoryEntry }
  /** an epoch's end: the model of that step lies in checkpoints/step-N */
  | { type: 'checkpoint'; step: number }
  | { type: 'message'; level: 'info' | 'warn'; message: string }
  /** the model lies in model/, the metrics in results.csv */
  | { type: 'done'; tokens: number }
  /** there is a checkpoint of the last step */
  | { type: 'stopped' }
  /** said for it: it was killed before a last word */
  | { type: 'killed' }
  | { type: 'failed'; code: string; message: string; param: string | null }

/** names in a job's folder */
export const PLACES = {
  run: 'run',
  model: 'model',
  results: 'results.csv',
  checkpoints: 'checkpoints',
  checkpoint: (step: number) => `checkpoints/step-${step}`,
} as const
