/** The adapter. */

import { z } from 'zod'
import { option, say } from '../../error.ts'
import { beside, honoured, refused } from './field.ts'
import { ADAPTER } from './needs.ts'
import { count, flag, optionalTexts } from './schemas.ts'

/** ModelConfig */
export const lora = {
  use_peft: honoured(flag, false, 'train a LoRA adapter instead of all weights'),
  lora_r: beside(ADAPTER, honoured(count, 16, 'rank of the adapter')),
  lora_alpha: beside(ADAPTER, honoured(z.int().min(1), 32, 'scale of the adapter: alpha / r')),
  lora_dropout: beside(
    ADAPTER,
    honoured(z.number().min(0).lt(1), 0.05, 'dropout on the adapter’s input; above 0 rows cannot share their beginnings'),
  ),
  lora_target_modules: beside(
    ADAPTER,
    honoured(
      z.union([z.array(z.string()), z.string()]).nullable(),
      null,
      'modules that get an adapter: names, all-linear, or one regular expression for the whole path; default: as PEFT (q_proj v_proj)',
    ),
  ),
  lora_modules_to_save: beside(ADAPTER, honoured(optionalTexts, null, 'modules that are trained whole and saved with the adapter')),
  use_rslora: beside(ADAPTER, honoured(flag, false, 'scale by alpha / √r instead of alpha / r')),
  lora_task_type: honoured(z.enum(['CAUSAL_LM']), 'CAUSAL_LM', 'task written to adapter_config.json', {
    SEQ_CLS: 'saqr trains language models only',
    SEQ_2_SEQ_LM: 'saqr trains decoder-only models',
    TOKEN_CLS: 'saqr trains language models only',
    QUESTION_ANS: 'saqr trains language models only',
    FEATURE_EXTRACTION: 'saqr trains language models only',
  }),
  lora_target_parameters: beside(
    ADAPTER,
    honoured(
      optionalTexts,
      null,
      'tensors that get a low-rank part by themselves, by the end of their names: gate_up_proj, down_proj, gate.weight; default: what lora_target_modules mean',
    ),
  ),
  use_dora: refused(flag, false, say`DoRA is not supported yet; use plain LoRA or ${option('useRslora')}`),
}
