/** Several devices, and debugging them (SFTConfig). */

import { z } from 'zod'
import { option, say } from '../../error.ts'
import { refused, subsumed } from './field.ts'
import { flag, mapping, optionalFlag, optionalText } from './schemas.ts'

const ONE = 'one process trains on one device'
const SHARDED = say`training on several devices is not supported yet; ${option('memory')} fits the model onto one`

export const distributed = {
  local_rank: refused(z.int(), -1, 'training on several devices is not supported yet; start one process', [0]),
  ddp_find_unused_parameters: subsumed(optionalFlag, null, ONE),
  ddp_bucket_cap_mb: subsumed(z.int().nullable(), null, ONE),
  ddp_broadcast_buffers: subsumed(optionalFlag, null, ONE),
  ddp_static_graph: subsumed(optionalFlag, null, ONE),
  ddp_backend: subsumed(optionalText, null, ONE),
  ddp_timeout: subsumed(z.int(), 1800, ONE),
  fsdp: refused(z.union([z.boolean(), z.string()]).nullable(), null, SHARDED, ['', false]),
  fsdp_config: refused(mapping, null, SHARDED, [{}]),
  deepspeed: refused(mapping, null, SHARDED),
  accelerator_config: refused(mapping, null, SHARDED),
  parallelism_config: refused(mapping, null, SHARDED),
  debug: refused(
    z.union([z.string(), z.array(z.string())]),
    '',
    'a value that is not finite always ends the run with the layer and op it came from',
    [[]],
  ),
  skip_memory_metrics: subsumed(flag, true, 'the memory table is known, and printed, before the first step'),
}
