/** Every op that runs on an NVIDIA card, by name: one line a kernel. */
import { adamw8bitCuda, adamwCuda } from './adamw/cuda.ts'
import { addCuda } from './add/cuda.ts'
import { attentionBackwardCuda, attentionCuda } from './attention/cuda.ts'
import { cacheWriteCuda } from './cache-write/cuda.ts'
import { castCuda } from './cast/cuda.ts'
import { columnSumCuda } from './column-sum/cuda.ts'
import type { CudaOp } from './cuda-launch.ts'
import { dropoutCuda } from './dropout/cuda.ts'
import { embedCuda, embedGradCuda } from './embed/cuda.ts'
import { advanceCuda, gatherCuda, scatterCuda, zerosCuda } from './gather/cuda.ts'
import { gradNormCuda } from './grad-norm/cuda.ts'
import { productCuda } from './product/cuda.ts'
import { addRmsNormCuda, rmsNormBackwardCuda, rmsNormCuda, rmsNormWeightGradCuda } from './rms-norm/cuda.ts'
import { ropeCuda, ropeTableCuda } from './rope/cuda.ts'
import { scaleCuda } from './scale/cuda.ts'
import { swigluBackwardCuda, swigluCuda } from './swiglu/cuda.ts'
import { targetLogProbsBackwardCuda, targetLogProbsCuda } from './target-log-probs/cuda.ts'
import { weightGradCuda } from './weight-grad/cuda.ts'

export const cudaOps: Readonly<Record<string, CudaOp>> = {
  adamw: adamwCuda,
  adamw_8bit: adamw8bitCuda,
  add: addCuda,
  add_rms_norm: addRmsNormCuda,
  advance: advanceCuda,
  attention: attentionCuda,
  attention_backward: attentionBackwardCuda,
  cache_write: cacheWriteCuda,
  cast: castCuda,
  column_sum: columnSumCuda,
  dropout: dropoutCuda,
  embed: embedCuda,
  embed_grad: embedGradCuda,
  gather: gatherCuda,
  grad_norm: gradNormCuda,
  product: productCuda,
  rms_norm: rmsNormCuda,
  rms_norm_backward: rmsNormBackwardCuda,
  rms_norm_weight_grad: rmsNormWeightGradCuda,
  rope: ropeCuda,
  rope_table: ropeTableCuda,
  scale: scaleCuda,
  scatter: scatterCuda,
  swiglu: swigluCuda,
  swiglu_backward: swigluBackwardCuda,
  target_log_probs: targetLogProbsCuda,
  target_log_probs_backward: targetLogProbsBackwardCuda,
  weight_grad: weightGradCuda,
  zeros: zerosCuda,
}
