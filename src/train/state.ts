/** trainer_state.json: where a run stands, as transformers writes it (indent 2, sorted keys). */
import { join } from 'node:path'
import { SaqrError } from '../error.ts'
import { Float, isObject, readJsonObject, stringifyJson } from '../formats/json.ts'
import { writeFileAtomic } from '../hub/files.ts'

export interface TrainerState {
  epoch: number
  globalStep: number
  maxSteps: number
  numTrainEpochs: number
  trainBatchSize: number
  loggingSteps: number
  evalSteps: number
  saveSteps: number
  /** rows' tokens seen */
  numInputTokensSeen: number
  totalFlos: number
  logHistory: Record<string, number>[]
  /** is it to end here, before its last step? */
  ended: boolean
  best: { metric: number | null; globalStep: number | null; checkpoint: string | null }
}

/** Values that are whole numbers in Python; all others of an entry are floats. */
const WHOLE = new Set(['step'])

export function writeTrainerState(folder: string, s: TrainerState): void {
  const floats = (entry: Record<string, number>) =>
    Object.fromEntries(Object.entries(entry).map(([key, value]) => [key, WHOLE.has(key) ? value : new Float(value)]))
  const json = {
    best_global_step: s.best.globalStep,
    best_metric: s.best.metric === null ? null : new Float(s.best.metric),
    best_model_checkpoint: s.best.checkpoint,
    epoch: new Float(s.epoch),
    eval_steps: s.evalSteps,
    global_step: s.globalStep,
    is_hyper_param_search: false,
    is_local_process_zero: true,
    is_world_process_zero: true,
    log_history: s.logHistory.map(floats),
    logging_steps: s.loggingSteps,
    max_steps: s.maxSteps,
    num_input_tokens_seen: s.numInputTokensSeen,
    num_train_epochs: s.numTrainEpochs,
    save_steps: s.saveSteps,
    stateful_callbacks: {
      TrainerControl: {
        args: {
          should_epoch_stop: false,
          should_evaluate: false,
          should_log: false,
          should_save: true,
          should_training_stop: s.ended || s.globalStep >= s.maxSteps,
        },
        attributes: {},
      },
    },
    total_flos: new Float(s.totalFlos),
    train_batch_size: s.trainBatchSize,
    trial_name: null,
    trial_params: null,
  }
  writeFileAtomic(join(folder, 'trainer_state.json'), `${stringifyJson(json, { indent: 2, sortKeys: true })}\n`)
}

/** What a resumed run needs of it. */
export function readTrainerState(folder: string): Pick<TrainerState, 'globalStep' | 'numInputTokensSeen' | 'totalFlos' | 'logHistory'> {
  const path = join(folder, 'trainer_state.json')
  const json = readJsonObject(path)
  const number = (key: string): number => {
    const value = json[key]
    if (typeof value !== 'number' || !Number.isFinite(value) || value < 0) {
      throw new SaqrError('TRAIN_CHECKPOINT', `${path}: ${key} must be a number of at least 0: take another checkpoint`)
    }
    return value
  }
  const whole = (key: string): number => {
    const value = number(key)
    if (!Number.isSafeInteger(value))
      throw new SaqrError('TRAIN_CHECKPOINT', `${path}: ${key} must be a whole number, not ${value}: take another checkpoint`)
    return value
  }
  const history = json.log_history
  if (!Array.isArray(history) || !history.every(isObject)) {
    throw new SaqrError('TRAIN_CHECKPOINT', `${path}: log_history must be a list of objects: take another checkpoint`)
  }
  return {
    globalStep: whole('global_step'),
    numInputTokensSeen: whole('num_input_tokens_seen'),
    totalFlos: number('total_flos'),
    logHistory: history as Record<string, number>[],
  }
}
