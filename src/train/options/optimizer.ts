/** The optimizer and the loss it follows (SFTConfig). */

import { z } from 'zod'
import { beside, honoured, refused } from './field.ts'
import { ADAMW, MOMENTS, WARM_UP } from './needs.ts'
import { mapping, optionalText } from './schemas.ts'

const LOW_RANK = 'low-rank gradient projections are not supported yet; use adamw_8bit for little memory'
const ONLY_ADAMW = 'not supported yet; use adamw_torch or adamw_8bit'
const LION_8BIT = 'not supported yet; use lion_32bit'
const FOUR_BIT = 'torchao’s states differ from bitsandbytes’; use adamw_8bit'

export const optimizer = {
  learning_rate: honoured(z.number().min(0), 2e-5, 'highest learning rate'),
  weight_decay: honoured(
    z.number().min(0),
    0,
    'weight decay, decoupled (of sgd, rmsprop and adagrad: added to the gradient); biases and norm weights have none',
  ),
  adam_beta1: beside(MOMENTS, honoured(z.number().min(0).lt(1), 0.9, 'decay of the first moment')),
  adam_beta2: beside(MOMENTS, honoured(z.number().min(0).lt(1), 0.999, 'decay of the second moment')),
  adam_epsilon: beside(ADAMW, honoured(z.number().positive(), 1e-8, 'added to the root of the second moment')),
  max_grad_norm: honoured(z.number().min(0), 1, 'gradients are scaled down to this norm; 0: never'),
  optim: honoured(
    z.enum([
      ...(['adamw_torch', 'adamw_torch_fused', 'paged_adamw_32bit', 'adamw_8bit', 'adamw_bnb_8bit', 'paged_adamw_8bit'] as const),
      ...(['adamw_torch_xla', 'adamw_torch_npu_fused', 'lion_32bit', 'paged_lion_32bit', 'sgd', 'adafactor'] as const),
      ...(['rmsprop', 'adagrad'] as const),
    ]),
    'adamw_torch_fused',
    'AdamW with states in f32 or in bitsandbytes’ 8 bits (paged, fused, XLA’s, NPU’s: the same), Lion, SGD, RMSprop, Adagrad, or Adafactor as the Trainer sets it',
    {
      adamw_torch_4bit: FOUR_BIT,
      adamw_torch_8bit: FOUR_BIT,
      adamw_anyprecision: ONLY_ADAMW,
      ademamix: ONLY_ADAMW,
      ademamix_8bit: ONLY_ADAMW,
      paged_ademamix_32bit: ONLY_ADAMW,
      paged_ademamix_8bit: ONLY_ADAMW,
      lion_8bit: LION_8BIT,
      paged_lion_8bit: LION_8BIT,
      rmsprop_bnb: ONLY_ADAMW,
      rmsprop_bnb_8bit: ONLY_ADAMW,
      rmsprop_bnb_32bit: ONLY_ADAMW,
      galore_adamw: LOW_RANK,
      galore_adamw_8bit: LOW_RANK,
      galore_adafactor: LOW_RANK,
      galore_adamw_layerwise: LOW_RANK,
      galore_adamw_8bit_layerwise: LOW_RANK,
      galore_adafactor_layerwise: LOW_RANK,
      apollo_adamw: LOW_RANK,
      apollo_adamw_layerwise: LOW_RANK,
      lomo: ONLY_ADAMW,
      adalomo: ONLY_ADAMW,
      grokadamw: ONLY_ADAMW,
      schedule_free_radam: ONLY_ADAMW,
      schedule_free_adamw: ONLY_ADAMW,
      schedule_free_sgd: ONLY_ADAMW,
      stable_adamw: ONLY_ADAMW,
    },
  ),
  optim_args: honoured(optionalText, null, 'arguments of sgd: momentum=0.9,nesterov=true (AdamW’s and Lion’s are options of their own)'),
  optim_target_modules: refused(z.union([z.array(z.string()), z.string()]).nullable(), null, LOW_RANK),
}

export const schedule = {
  lr_scheduler_type: honoured(
    z.enum([
      'linear',
      'cosine',
      'cosine_with_restarts',
      'polynomial',
      'constant',
      'constant_with_warmup',
      'inverse_sqrt',
      'reduce_lr_on_plateau',
      'cosine_with_min_lr',
      'cosine_warmup_with_min_lr',
      'warmup_stable_decay',
      'greedy',
    ]),
    'linear',
    'how the learning rate goes on after warm-up; reduce_lr_on_plateau and greedy follow the evaluation rows',
  ),
  lr_scheduler_kwargs: honoured(
    mapping,
    null,
    'arguments of lr_scheduler_type by the names transformers has, such as num_cycles, min_lr_rate or num_decay_steps',
  ),
  warmup_steps: beside(
    WARM_UP,
    honoured(z.number().min(0), 0, 'steps in which the learning rate rises from 0; below 1, a share of all steps'),
  ),
}

export const objective = {
  loss_type: honoured(
    z.enum(['nll', 'chunked_nll', 'dft']),
    'nll',
    'negative log-likelihood; logits are never held whole (so chunked_nll is the same). dft: each token’s times its probability (dynamic fine-tuning)',
  ),
}

/** of every trainer, whatever its loss */
export const lossArguments = {
  label_smoothing_factor: refused(z.number(), 0, 'label smoothing is not supported yet; leave it out'),
  neftune_noise_alpha: honoured(
    z.number().min(0).nullable(),
    null,
    'NEFTune: noise on embeddings while training, uniform in ± this / √(length of the row · channels); default: none',
  ),
}
