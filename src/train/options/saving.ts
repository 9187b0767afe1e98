/** What is written, where and when, and going on from it (SFTConfig). */
import { z } from 'zod'
import { beside, honoured, refused, subsumed } from './field.ts'
import { PUSHED, SAVES_BY_STEPS } from './needs.ts'
import { flag, name, optionalCount, optionalFlag, optionalName, stepInterval } from './schemas.ts'

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

const ONCE = 'the model is uploaded once, when the run has ended; upload a checkpoint with `saqr push`'

export const hub = {
  push_to_hub: honoured(
    flag,
    false,
    'upload output_dir (the model, its tokenizer and card; no checkpoints) to the Hub when the run has ended; the repository is opened before it begins',
  ),
  hub_token: beside(PUSHED, honoured(optionalName, null, 'access token that may write; default: HF_TOKEN, or what `hf auth login` keeps')),
  hub_private_repo: beside(PUSHED, honoured(optionalFlag, null, 'of a repository that is made; default: as its owner’s settings say')),
  hub_model_id: beside(
    PUSHED,
    honoured(optionalName, null, 'repository, owner/name or a name of the token’s owner; default: the last part of output_dir'),
  ),
  hub_strategy: beside(
    PUSHED,
    honoured(z.enum(['every_save', 'end']), 'every_save', 'both end and every_save upload the model once, at the end', {
      checkpoint: ONCE,
      all_checkpoints: ONCE,
    }),
  ),
  hub_always_push: subsumed(flag, false, 'the one upload, at the end, is waited for'),
  hub_revision: beside(
    PUSHED,
    honoured(optionalName, null, 'branch that is uploaded to, made from main where there is none; default: main'),
  ),
}
