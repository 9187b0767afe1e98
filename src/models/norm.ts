/** RMSNorm with its weight by path. */
import { addRmsNorm, type NormOptions, rmsNorm } from '../ops/rms-norm/op.ts'
import type { Tensor } from '../ops/tensor.ts'
import type { Config } from './config.ts'
import type { Trace } from './trace.ts'

export function readNorm(c: Config): NormOptions {
  return { eps: c.above(0, 'rms_norm_eps', 1e-6, { orEqual: true }) }
}

/** y (T, C) = rmsnorm(x) · w */
export function norm(t: Trace, path: string, x: Tensor, options: NormOptions): Tensor {
  return rmsNorm(t, x, t.normWeight(path, options.group ?? x.cols), options, path)
}

/** h = x + delta, y = rmsnorm(h) · w  (T, C) */
export function addNorm(t: Trace, path: string, x: Tensor, delta: Tensor, options: NormOptions): { h: Tensor; y: Tensor } {
  return addRmsNorm(t, x, delta, t.normWeight(path, options.group ?? x.cols), options, path)
}
