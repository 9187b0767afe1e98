/** What is said during a run, and to whom (SFTConfig). */

import { z } from 'zod'
import { beside, honoured, subsumed } from './field.ts'
import { LOGS_BY_STEPS } from './needs.ts'
import { flag, optionalFlag, optionalText, stepInterval, text } from './schemas.ts'

const TRACKIO = 'only Trackio reads it, and report_to does not have that'
const NOT_YET = 'not supported; use tensorboard, wandb or jsonl (one event a line in output_dir/events.jsonl)'
const TRACKERS = [
  'azure_ml',
  'clearml',
  'codecarbon',
  'comet_ml',
  'dagshub',
  'dvclive',
  'flyte',
  'kubeflow',
  'mlflow',
  'neptune',
  'swanlab',
]
const tracker = z.enum(['none', 'all', 'jsonl', 'tensorboard', 'wandb'])

export const logging = {
  logging_strategy: honoured(z.enum(['no', 'steps', 'epoch']), 'steps', 'when metrics are logged'),
  logging_steps: beside(LOGS_BY_STEPS, honoured(stepInterval, 10, 'steps between two logs; below 1, a share of all steps')),
  logging_first_step: honoured(flag, false, 'log the first step too'),
  report_to: honoured(
    z.union([tracker, z.array(tracker)]).nullable(),
    'none',
    'where events go beside the terminal: jsonl, tensorboard, wandb (its WANDB_… variables say how), several of them, all or none',
    {
      ...Object.fromEntries(TRACKERS.map((name) => [name, NOT_YET])),
      trackio: 'what it keeps is documented for its own package alone; use tensorboard, wandb or jsonl',
    },
  ),
  run_name: honoured(
    optionalText,
    null,
    'name of the run in what is logged; default: output_dir; in wandb WANDB_NAME, else one that it finds',
  ),
  disable_tqdm: honoured(
    optionalFlag,
    null,
    'true: plain lines on a terminal too; default: a live line on a terminal, plain lines in a pipe',
  ),
  log_on_each_node: subsumed(flag, true, 'one process trains and logs'),
  logging_nan_inf_filter: subsumed(flag, true, 'a loss that is not finite ends the run, naming the layer and op it came from'),
  include_num_input_tokens_seen: subsumed(z.union([z.boolean(), z.string()]), 'no', 'num_tokens is in every log'),
  log_level: subsumed(text, 'passive', 'there is one level, and --verbose for stack traces'),
  log_level_replica: subsumed(text, 'warning', 'one process trains and logs'),
  project: subsumed(text, 'huggingface', TRACKIO),
  trackio_space_id: subsumed(optionalText, null, TRACKIO),
  trackio_bucket_id: subsumed(optionalText, null, TRACKIO),
  trackio_static_space_id: subsumed(z.union([z.string(), z.literal(false)]).nullable(), null, TRACKIO),
}
