/** What a run says, as events and checkpoints of its job. */
import { idOf } from './ids.ts'
import type { Heard, HistoryEntry } from './messages.ts'
import { type FineTuningMetrics, now } from './objects.ts'
import { type JobRecord, message } from './record.ts'

/** models of epochs that are kept */
const CHECKPOINTS = 3

/** `ft:base:suffix:id`, as OpenAI names them, without an organization. */
export function modelName(root: string, suffix: string | null, id: string): string {
  return `ft:${root}:${suffix ?? ''}:${id.slice(-8)}`
}

/** A run begins, or goes on: what was done of it before a kill could tell is told now. */
export function tellStart(record: JobRecord, { steps, training, bytes, history }: Extract<Heard, { type: 'started' }>): void {
  const from = history.findLast(({ loss }) => loss !== undefined)?.step ?? 0
  record.progress = { steps, from, since: Date.now() / 1000, step: from }
  const done = from > 0 ? `, ${from} of them done` : ''
  record.tell(message('info', `Training ${training}: ${steps} steps${done}, ${Math.ceil(bytes / 1e6)} MB of memory planned`))
  for (const entry of history) tellMetrics(record, entry)
}

/** What is told of a step is told once, however often a run goes on from before it. */
export function tellMetrics(record: JobRecord, entry: HistoryEntry): void {
  const { step = 0, loss, mean_token_accuracy: accuracy, eval_loss: valid, eval_mean_token_accuracy: validAccuracy } = entry
  const steps = record.progress?.steps ?? 0
  if (record.progress !== null) record.progress.step = Math.max(step, record.progress.step)
  const tell = (text: string, data: Partial<FineTuningMetrics>) =>
    record.tell({ ...message('info', `Step ${step}/${steps}: ${text}`), type: 'metrics', data: { step, total_steps: steps, ...data } })
  if (loss !== undefined && step > record.toldOf('train_loss'))
    tell(`training loss=${loss.toFixed(2)}`, {
      train_loss: loss,
      ...(accuracy === undefined ? {} : { train_mean_token_accuracy: accuracy }),
    })
  if (valid !== undefined && step > record.toldOf('full_valid_loss'))
    tell(`full validation loss=${valid.toFixed(2)}`, {
      full_valid_loss: valid,
      ...(validAccuracy === undefined ? {} : { full_valid_mean_token_accuracy: validAccuracy }),
    })
}

/** The model of an epoch's end is there to be asked; the oldest is so no more. */
export function keepCheckpoint(record: JobRecord, step: number): void {
  const { job, checkpoints, root } = record.saved
  if (checkpoints.some((one) => one.step_number === step)) return
  const metrics: FineTuningMetrics = { step }
  for (const { data } of record.log.events) if (data.step === step) Object.assign(metrics, data)
  delete metrics.total_steps
  const made = {
    id: idOf('ftckpt', job.id, String(step)),
    object: 'fine_tuning.job.checkpoint',
    created_at: now(),
    fine_tuned_model_checkpoint: `${modelName(root, job.user_provided_suffix, job.id)}:ckpt-step-${step}`,
    fine_tuning_job_id: job.id,
    metrics,
    step_number: step,
  } as const
  const kept = [...checkpoints, made].slice(-CHECKPOINTS)
  record.change({ checkpoints: kept }, message('info', `Checkpoint created at step ${step}`))
}
