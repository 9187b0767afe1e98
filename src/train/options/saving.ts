/** What is written, where and when, and going on from it (SFTConfig). */
import { z } from 'zod'
import { beside, honoured, refused, subsumed } from './field.ts'
import { SAVES_BY_STEPS } from './needs.ts'
import { flag, name, optionalCount, optionalName, optionalText, stepInterval } from './schemas.ts'

const NOT_PUSHED = 'only push_to_hub reads it, and that is refused'

export const saving = {
  output_dir: honoured(optionalName, null, 'folder for checkpoints and the trained model; default: trainer_output'),
  save_strategy: honoured(
    z.enum(['no', 'steps', 'epoch', 'best']),
    'steps',
    'when a checkpoint is saved; best: after an evaluation that is better than those before',
  ),
  save_steps: beside(SAVES_BY_STEPS, honoured(stepInterval, 500, 'steps between two checkpoints; below 1, a share of all steps')),
  save_total_limit: honoured(optionalCount, null, 'checkpoints that stay, the newest and the best among them; older ones are deleted'),
  resume_from_checkpoint: honoured(
    z.union([z.boolean(), name]).nullable(),
    null,
    'checkpoint folder to go on from; true: the last one in output_dir',
  ),
  save_only_model: refused(
    flag,
    false,
    'a checkpoint always holds all that a resumed run needs; the trained model in output_dir is the model alone',
  ),
  save_on_each_node: subsumed(flag, false, 'one process trains and saves'),
  enable_jit_checkpoint: subsumed(flag, false, 'SIGINT and SIGTERM always save a checkpoint'),
  ignore_data_skip: refused(flag, false, 'a resumed run goes on bit for bit, with the rows that come next; leave it out'),
  restore_callback_states_from_checkpoint: subsumed(flag, false, 'all state of a run is in its checkpoints'),
}

export const hub = {
  push_to_hub: refused(flag, false, 'saqr writes to disk only; upload output_dir when it is done, e.g. with `hf upload`'),
  hub_token: subsumed(optionalText, null, NOT_PUSHED),
  hub_private_repo: subsumed(z.boolean().nullable(), null, NOT_PUSHED),
  hub_model_id: subsumed(optionalText, null, NOT_PUSHED),
  hub_strategy: subsumed(z.string(), 'every_save', NOT_PUSHED),
  hub_always_push: subsumed(flag, false, NOT_PUSHED),
  hub_revision: subsumed(optionalText, null, NOT_PUSHED),
}
