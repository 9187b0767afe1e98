/** In which numbers is computed, and on what (SFTConfig). */

import { z } from 'zod'
import { option, say } from '../../error.ts'
import { honoured, refused, subsumed } from './field.ts'
import { flag, mapping, optionalFlag, optionalText } from './schemas.ts'

const F16 = say`f16 training needs loss scaling, which saqr does not have yet; use ${option('bf16')} true, or ${option('bf16')} false for f32`
const PLANNER = say`the planner keeps, recomputes or moves activations block by block to fit ${option('memory')}`
const COMPILED = 'a step is one plan of fused kernels already'

export const precision = {
  bf16: honoured(optionalFlag, null, 'weights and products in bf16, sums and trained weights in f32 (the default); false: as dtype says'),
  fp16: refused(flag, false, F16),
  bf16_full_eval: refused(flag, false, 'evaluation runs in the precision of training; leave it out'),
  fp16_full_eval: refused(flag, false, F16),
  tf32: refused(optionalFlag, null, say`f32 products are exact f32; leave it out, or use ${option('bf16')} true for speed`, [false]),
  use_cpu: honoured(flag, false, say`train on the CPU whatever else there is (${option('device')} cpu)`),
}

export const compute = {
  activation_checkpointing: subsumed(optionalFlag, null, PLANNER),
  activation_checkpointing_kwargs: subsumed(mapping, null, PLANNER),
  gradient_checkpointing: subsumed(flag, true, PLANNER),
  gradient_checkpointing_kwargs: subsumed(mapping, null, PLANNER),
  activation_offloading: subsumed(flag, false, PLANNER),
  torch_compile: subsumed(flag, false, COMPILED),
  torch_compile_backend: subsumed(optionalText, null, COMPILED),
  torch_compile_mode: subsumed(optionalText, null, COMPILED),
  use_liger_kernel: subsumed(flag, false, COMPILED),
  liger_kernel_config: subsumed(z.record(z.string(), z.unknown()).nullable(), null, COMPILED),
  use_cache: subsumed(flag, false, 'training keeps no KV cache; generation always does'),
  torch_empty_cache_steps: subsumed(z.int().nullable(), null, 'memory is one arena laid out before the first step'),
}
