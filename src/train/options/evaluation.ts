/** When held-out rows are scored (SFTConfig). */
import { z } from 'zod'
import { beside, honoured, refused, subsumed } from './field.ts'
import { BEST, EVALUATION, EVALUATION_BY_STEPS, EVALUATION_ON_THE_WAY, METRIC } from './needs.ts'
import { count, flag, optionalFlag, stepInterval, texts } from './schemas.ts'

const NO_LOGITS = 'evaluation sums losses; logits are never held or gathered'

export const evaluation = {
  eval_strategy: honoured(z.enum(['no', 'steps', 'epoch']), 'no', 'when the evaluation rows are scored'),
  eval_steps: beside(
    EVALUATION_BY_STEPS,
    honoured(stepInterval.nullable(), null, 'steps between two evaluations; default: logging_steps; below 1, a share of all steps'),
  ),
  per_device_eval_batch_size: beside(EVALUATION, honoured(count, 8, 'rows whose mean loss is one term of eval_loss')),
  eval_delay: beside(
    EVALUATION_ON_THE_WAY,
    honoured(z.number().min(0), 0, 'steps, or with eval_strategy epoch epochs, before the first evaluation'),
  ),
  eval_on_start: honoured(flag, false, 'evaluate before the first step too'),
  prediction_loss_only: subsumed(flag, false, NO_LOGITS),
  eval_do_concat_batches: subsumed(flag, true, NO_LOGITS),
  eval_use_gather_object: subsumed(flag, false, NO_LOGITS),
  eval_accumulation_steps: subsumed(z.int().nullable(), null, NO_LOGITS),
  include_for_metrics: subsumed(texts, [], NO_LOGITS),
  batch_eval_metrics: subsumed(flag, false, NO_LOGITS),
  load_best_model_at_end: honoured(flag, false, 'at the end, the model is that of the best evaluation that has a checkpoint'),
  metric_for_best_model: beside(
    METRIC,
    honoured(
      z.string().nullable(),
      null,
      'evaluated metric that load_best_model_at_end, save_strategy best, early_stopping_patience and the schedules reduce_lr_on_plateau and greedy follow; default: loss',
    ),
  ),
  greater_is_better: beside(
    BEST,
    honoured(optionalFlag, null, 'is more of that metric better? default: yes, unless its name ends with loss'),
  ),
  do_train: subsumed(flag, false, 'sft always trains'),
  do_eval: subsumed(flag, false, 'eval_strategy says when to evaluate'),
  do_predict: refused(flag, false, 'sft predicts nothing; use saqr generate with the trained model'),
}
