/** What jobs and files are told as: OpenAI's objects, field for field, so that a program reads the same in process and over HTTP. Times are seconds since 1970. */

/** An uploaded file, or the results of a job. */
export interface FileObject {
  /** `file-` and 24 letters or digits */
  id: string
  /** the kind of object: always `file` */
  object: 'file'
  /** size of its content, in bytes */
  bytes: number
  /** when all of it was there, in seconds since 1970 */
  created_at: number
  /** as it was given; it names nothing here */
  filename: string
  /** `fine-tune`: examples to train on or to score; `fine-tune-results`: metrics that a job wrote */
  purpose: 'fine-tune' | 'fine-tune-results'
  /** always `processed`: it can be used as soon as it is listed. Its rows are looked at when a job is made of it */
  status: 'processed'
}

/**
 * `validating_files`: its files are looked at; `queued`: it waits for its turn; `running`: it trains; `paused`: it stands still until it is resumed,
 * as asked or because something stopped it, such as a full disk; the others: it has ended.
 */
export type FineTuningJobStatus = 'validating_files' | 'queued' | 'running' | 'paused' | 'succeeded' | 'failed' | 'cancelled'

/** `auto` until the files are validated, then what it came to. */
export interface FineTuningHyperparameters {
  /** how often the whole training file is gone through */
  n_epochs: number | 'auto'
  /** examples that a step learns from */
  batch_size: number | 'auto'
  /** the highest learning rate of the run, in multiples of 2e-4 (supervised) or 2e-5 (dpo) */
  learning_rate_multiplier: number | 'auto'
  /** of dpo */
  beta?: number | 'auto'
}

/** How a job trains, with the hyperparameters of that method. */
export type FineTuningMethod =
  | {
      /** learns the answers of its examples */
      type: 'supervised'
      /** its settings */
      supervised: { hyperparameters: FineTuningHyperparameters }
    }
  | {
      /** learns from pairs to prefer one answer to another */
      type: 'dpo'
      /** its settings */
      dpo: { hyperparameters: FineTuningHyperparameters }
    }

/** A training run over a model of `models`, or over one that another job made: what was asked for, where it stands, and what came of it. */
export interface FineTuningJob {
  /** `ftjob-` and 24 letters or digits */
  id: string
  /** the kind of object: always `fine_tuning.job` */
  object: 'fine_tuning.job'
  /** when it was asked for, in seconds since 1970 */
  created_at: number
  /** why it failed; null: it did not */
  error: { code: string; message: string; param: string | null } | null
  /** null until it has succeeded */
  fine_tuned_model: string | null
  /** when it succeeded, failed or was cancelled, in seconds since 1970; null until then */
  finished_at: number | null
  /** the same as in `method`: OpenAI's older place of them */
  hyperparameters: FineTuningHyperparameters
  /** what is trained over, as it was named */
  model: string
  /** always `org-saqr`: there are no organizations here */
  organization_id: string
  /** a CSV of metrics, once it has succeeded */
  result_files: string[]
  /** of order, dropout and the adapter's first values: as asked for, or as drawn */
  seed: number
  /** where it stands */
  status: FineTuningJobStatus
  /** null until it has succeeded */
  trained_tokens: number | null
  /** id of the file that it trains on */
  training_file: string
  /** id of the file that is scored at the end of each epoch; null: none */
  validation_file: string | null
  /** null where it does not run */
  estimated_finish: number | null
  /** always empty: runs are not reported to other services */
  integrations: []
  /** up to 16 texts under names, as they were given; null: none */
  metadata: Record<string, string> | null
  /** supervised or dpo, with its hyperparameters */
  method: FineTuningMethod
  /** what was given as `suffix`, a part of its models' names; null: none */
  user_provided_suffix: string | null
}

/** What an event of type metrics carries. */
export interface FineTuningMetrics {
  /** the step that was measured; the first is 1 */
  step: number
  /** steps of the whole job; not with a checkpoint */
  total_steps?: number
  /** loss on the step's batch */
  train_loss?: number
  /** share (0 to 1) of the batch's learned tokens that the model finds likeliest; of dpo: of the preferred answers */
  train_mean_token_accuracy?: number
  /** loss on the whole validation file, at an epoch's end */
  full_valid_loss?: number
  /** the same share of the whole validation file's tokens, at an epoch's end */
  full_valid_mean_token_accuracy?: number
}

/** Something that was said of a job: a message, or the metrics of a step. */
export interface FineTuningJobEvent {
  /** `ftevent-` and 24 letters or digits */
  id: string
  /** the kind of object: always `fine_tuning.job.event` */
  object: 'fine_tuning.job.event'
  /** when it was told, in seconds since 1970 */
  created_at: number
  /** `info`: as it should be; `warn`: worth a look, and no failure; `error`: why it failed or stands still */
  level: 'info' | 'warn' | 'error'
  /** what happened, in English */
  message: string
  /** `metrics`: numbers of a step are in `data`; `message`: text alone */
  type: 'message' | 'metrics'
  /** empty of a message */
  data: Partial<FineTuningMetrics>
}

/** The model as it was at the end of an epoch; the last three of a job are listed. */
export interface FineTuningJobCheckpoint {
  /** `ftckpt_` and 24 letters or digits */
  id: string
  /** the kind of object: always `fine_tuning.job.checkpoint` */
  object: 'fine_tuning.job.checkpoint'
  /** when it was there to be asked, in seconds since 1970 */
  created_at: number
  /** a name that answers can be asked of */
  fine_tuned_model_checkpoint: string
  /** id of the job that it came out of */
  fine_tuning_job_id: string
  /** of its step, without `total_steps` */
  metrics: FineTuningMetrics
  /** steps that were done when it was saved: the end of an epoch */
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
