/** A frozen base in fewer bits. */

import { z } from 'zod'
import { option, say } from '../../error.ts'
import { beside, honoured, refused, subsumed } from './field.ts'
import { FOUR_BITS } from './needs.ts'
import { flag, optionalText } from './schemas.ts'

/** ModelConfig */
export const quantization = {
  load_in_4bit: honoured(flag, false, 'hold the frozen base weights in 4-bit NF4 (QLoRA)'),
  use_bnb_nested_quant: beside(FOUR_BITS, honoured(flag, false, 'quantise the NF4 block scales too (double quantisation)')),
  bnb_4bit_quant_type: honoured(z.enum(['nf4']), 'nf4', 'the 4-bit code', {
    fp4: 'FP4 is not supported; NF4 is more exact at the same size',
  }),
  bnb_4bit_quant_storage: subsumed(
    optionalText,
    null,
    'nibbles are stored as bytes; the storage type only matters to sharded Python trainers',
  ),
  load_in_8bit: refused(flag, false, say`the 8-bit base is not supported yet; use ${option('loadIn4bit')} or bf16`),
}
