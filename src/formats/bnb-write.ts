/** A weight as NF4: quantised row chunk by row chunk, in the form a device's store takes, and as tensors of a bitsandbytes checkpoint. */
import { SaqrError } from '../error.ts'
import { Float, stringifyJson } from './json.ts'
import { inJavaScript, nestAbsmax, nf4Blocksize, nf4Codebook, nf4NestedBlocksize, type Quantiser } from './nf4.ts'
import { asF32, asU16, bytesOf } from './numbers.ts'
import type { TensorToWrite } from './safetensors/write.ts'
import type { CheckpointTensor, QuantState } from './tensor.ts'

export interface QuantisedTensor {
  name: string
  rows: number
  cols: number
  /** ceil(rows · cols / 2) bytes */
  packed: Uint8Array
  /** its sources are data */
  quant: QuantState
}

/** Weights held in f32 or bf16 while quantising. */
const chunk = 1 << 22

/**
 * Quantises one matrix. `dtype`: what its weights are rounded to before (a bf16 model is quantised from bf16), and what
 * bitsandbytes will dequantise to. `nested`: absmax in 8 bits too. Errors: FORMAT_NF4, FORMAT_DTYPE.
 */
export function quantiseTensor(
  tensor: CheckpointTensor,
  options: { dtype: 'f32' | 'bf16'; nested: boolean },
  by: Quantiser = inJavaScript,
): QuantisedTensor {
  const { name, rows, cols } = tensor
  const count = rows * cols
  const packed = new Uint8Array(Math.ceil(count / 2))
  const absmax = new Float32Array(Math.ceil(count / nf4Blocksize))
  // chunks end with a block and at whole rows
  const aligned = nf4Blocksize / gcd(nf4Blocksize, cols)
  const step = Math.max(aligned, Math.floor(chunk / cols / aligned) * aligned)
  for (let row = 0; row < rows; row += step) {
    const bytes = tensor.load(options.dtype, row, Math.min(step, rows - row))
    const part = quantiseNamed(options.dtype === 'bf16' ? asU16(bytes) : asF32(bytes), name, by)
    packed.set(part.packed, (row * cols) / 2)
    absmax.set(part.absmax, (row * cols) / nf4Blocksize)
  }
  return { name, rows, cols, packed, quant: quantState(absmax, options, by) }
}

function quantiseNamed(values: Float32Array | Uint16Array, name: string, by: Quantiser) {
  try {
    return by.quantise(values)
  } catch (cause) {
    throw cause instanceof SaqrError ? new SaqrError(cause.code, `${name}: ${cause.message}`, { cause }) : cause
  }
}

function quantState(absmax: Float32Array, { dtype, nested }: { dtype: 'f32' | 'bf16'; nested: boolean }, by: Quantiser): QuantState {
  const shared = { blocksize: nf4Blocksize, codebook: nf4Codebook, dtype }
  if (!nested) return { ...shared, absmax: { kind: 'data', bytes: bytesOf(absmax) } }
  const { codes, code, absmax: scales, offset } = nestAbsmax(absmax, by)
  return {
    ...shared,
    absmax: { kind: 'data', bytes: codes },
    nested: { blocksize: nf4NestedBlocksize, code, absmax: { kind: 'data', bytes: bytesOf(scales) }, offset },
  }
}

const pythonNames = { f32: 'float32', bf16: 'bfloat16', f16: 'float16' }

/** The tensors of a bitsandbytes checkpoint that hold this one. */
export function nf4FileTensors({ name, rows, cols, packed, quant }: QuantisedTensor): TensorToWrite[] {
  const data = (source: QuantState['absmax']) => {
    if (source.kind !== 'data') throw new TypeError(`the quantisation state of ${name} is not in memory`)
    return source.bytes
  }
  const tensor = (part: string, dtype: string, shape: number[], bytes: Uint8Array): TensorToWrite => ({
    name: `${name}${part}`,
    dtype,
    shape,
    data: bytes,
  })
  const blocks = Math.ceil((rows * cols) / quant.blocksize)
  const { nested } = quant
  const state = {
    quant_type: 'nf4',
    blocksize: quant.blocksize,
    dtype: pythonNames[quant.dtype],
    shape: [rows, cols],
    ...(nested && { nested_blocksize: nested.blocksize, nested_dtype: 'float32', nested_offset: new Float(nested.offset) }),
  }
  const json = Buffer.from(stringifyJson(state))
  return [
    tensor('', 'U8', [packed.length, 1], packed),
    tensor('.absmax', nested ? 'U8' : 'F32', [blocks], data(quant.absmax)),
    tensor('.quant_map', 'F32', [16], bytesOf(quant.codebook)),
    ...(nested
      ? [
          tensor('.nested_absmax', 'F32', [Math.ceil(blocks / nested.blocksize)], data(nested.absmax)),
          tensor('.nested_quant_map', 'F32', [256], bytesOf(nested.code)),
        ]
      : []),
    tensor('.quant_state.bitsandbytes__nf4', 'U8', [json.length], json),
  ]
}

function gcd(a: number, b: number): number {
  return b === 0 ? a : gcd(b, a % b)
}
