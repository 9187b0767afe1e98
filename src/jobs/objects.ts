/** What jobs and files are told as: OpenAI's objects, field for field, so that a program reads the same in process and over HTTP. Times are seconds since 1970. */

/** An uploaded file, or the results of a job. */
export interface FileObject {
  id: string
  object: 'file'
  bytes: number
  created_at: number
  /** as it was given; it names nothing here */
  filename: string
  purpose: 'fine-tune' | 'fine-tune-results'
  status: 'processed'
}

export type FineTuningJobStatus = 'validating_files' | 'queued' | 'running' | 'paused' | 'succeeded' | 'failed' | 'cancelled'

/** `auto` until the files are validated, then what it came to. */
export interface FineTuningHyperparameters {
  n_epochs: number | 'auto'
  batch_size: number | 'auto'
  learning_rate_multiplier: number | 'auto'
  /** of dpo */
  beta?: number | 'auto'
}

export type FineTuningMethod =
  | { type: 'supervised'; supervised: { hyperparameters: FineTuningHyperparameters } }
  | { type: 'dpo'; dpo: { hyperparameters: FineTuningHyperparameters } }

export interface FineTuningJob {
  id: string
  object: 'fine_tuning.job'
  created_at: number
  /** why it failed; code null: it did not */
  error: { code: string; message: string; param: string | null } | null
  /** null until it has succeeded */
  fine_tuned_model: string | null
  finished_at: number | null
  hyperparameters: FineTuningHyperparameters
  /** what is trained over, as it was named */
  model: string
  organization_id: string
  /** a CSV of metrics, once it has succeeded */
  result_files: string[]
  seed: number
  status: FineTuningJobStatus
  /** null until it has succeeded */
  trained_tokens: number | null
  training_file: string
  validation_file: string | null
  /** null where it does not run */
  estimated_finish: number | null
  integrations: []
  metadata: Record<string, string> | null
  method: FineTuningMethod
  user_provided_suffix: string | null
}

/** What an event of type metrics carries. */
export interface FineTuningMetrics {
  step: number
  total_steps?: number
  train_loss?: number
  train_mean_token_accuracy?: number
  full_valid_loss?: number
  full_valid_mean_token_accuracy?: number
}

export interface FineTuningJobEvent {
  id: string
  object: 'fine_tuning.job.event'
  created_at: number
  level: 'info' | 'warn' | 'error'
  message: string
  type: 'message' | 'metrics'
  /** empty of a message */
  data: Partial<FineTuningMetrics>
}

export interface FineTuningJobCheckpoint {
  id: string
  object: 'fine_tuning.job.checkpoint'
  created_at: number
  /** a name that answers can be asked of */
  fine_tuned_model_checkpoint: string
  fine_tuning_job_id: string
  metrics: FineTuningMetrics
  step_number: number
}

type Auto = number | 'auto' | null

/** What a job is asked for. Null is as if it were left out. */
export interface FineTuningJobRequest {
  /** a name of `models`, or a model that another job made */
  model: string
  /** id of a file */
  training_file: string
  /** rows that are scored at the end of each epoch */
  validation_file?: string | null
  /** supervised (default) or dpo */
  method?: {
    type: 'supervised' | 'dpo'
    supervised?: { hyperparameters?: { n_epochs?: Auto; batch_size?: Auto; learning_rate_multiplier?: Auto } | null } | null
    dpo?: { hyperparameters?: { n_epochs?: Auto; batch_size?: Auto; learning_rate_multiplier?: Auto; beta?: Auto } | null } | null
  } | null
  /** older place of method.supervised.hyperparameters */
  hyperparameters?: { n_epochs?: Auto; batch_size?: Auto; learning_rate_multiplier?: Auto } | null
  /** part of the name of what comes out: up to 64 letters, digits, - and _ */
  suffix?: string | null
  /** of order, dropout and the adapter's first values; default: drawn */
  seed?: number | null
  /** up to 16 texts under names */
  metadata?: Record<string, string> | null
  /** only an empty list */
  integrations?: readonly [] | null
}

export const now = (): number => Math.floor(Date.now() / 1000)

/** Has it ended, whichever way? */
export const hasEnded = ({ status }: Pick<FineTuningJob, 'status'>): boolean =>
  status === 'succeeded' || status === 'failed' || status === 'cancelled'

/** of a method, whichever it is */
export function hyperparametersOf(method: FineTuningMethod): FineTuningHyperparameters {
  return method.type === 'dpo' ? method.dpo.hyperparameters : method.supervised.hyperparameters
}

export function methodOf(type: FineTuningMethod['type'], hyperparameters: FineTuningHyperparameters): FineTuningMethod {
  return type === 'dpo' ? { type, dpo: { hyperparameters } } : { type, supervised: { hyperparameters } }
}
