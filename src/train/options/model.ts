/** Which model is opened, and as what. */

import { z } from 'zod'
import { option, say } from '../../error.ts'
import { beside, honoured, refused, subsumed } from './field.ts'
import { HUB_MODEL, NOT_BF16 } from './needs.ts'
import { flag, mapping, name, optionalName, optionalText } from './schemas.ts'

/** ModelConfig */
export const model = {
  model_name_or_path: honoured(optionalName, null, 'Hub id, folder, .gguf file, or a folder with a PEFT adapter, which is then trained on'),
  model_revision: beside(HUB_MODEL, honoured(name, 'main', 'branch, tag or commit of a Hub model')),
  dtype: beside(
    NOT_BF16,
    honoured(
      z.enum(['auto', 'bfloat16', 'float32']).nullable(),
      'float32',
      say`with ${option('bf16')} false, the precision of everything: float32, bfloat16, or as the checkpoint is stored (auto)`,
      {
        float16: say`f16 training needs loss scaling, which saqr does not have yet; use ${option('bf16')} true, or ${option('bf16')} false for f32`,
      },
    ),
  ),
  attn_implementation: subsumed(optionalText, null, 'attention is saqr’s own, exact and never T×T, whatever the name'),
}

/** SFTConfig */
export const modelLoading = {
  model_init_kwargs: refused(
    mapping,
    null,
    say`its keys have options of their own: ${option('dtype')}, ${option('modelRevision')}, ${option('loadIn4bit')}`,
  ),
  trust_remote_code: subsumed(flag, false, 'code from a checkpoint is never run; the families saqr knows need none'),
  router_aux_loss_coef: honoured(
    z.number().min(0).nullable(),
    null,
    'what the balance loss of a mixture of experts is multiplied with; default: its config.json says; 0: left out',
  ),
  chat_template_path: honoured(
    optionalName,
    null,
    'chat template to use: a .jinja file, chatml, gemma-3, llama-3 or phi-3, or a folder or Hub id of a tokenizer that has one',
  ),
}
