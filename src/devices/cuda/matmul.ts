/**
 * Large products through cuBLASLt: bf16 or f32 operands, f32 sums (f32 stays f32: no TF32). The algorithm is the first one its heuristic
 * names for a shape and a fixed workspace, never one found by timing: the same shape gives the same bits.
 */
import { SaqrError } from '../../error.ts'
import { bytesOf, type CudaTensor, type MatmulLaunch } from '../../ops/cuda-launch.ts'
import type { ForeignFunction } from '../ffi.ts'
import type { Card } from './card.ts'
import { openLibrary } from './libraries.ts'

const FUNCTIONS = {
  create: 'int cublasLtCreate(void* handle)',
  destroy: 'int cublasLtDestroy(uint64_t handle)',
  descCreate: 'int cublasLtMatmulDescCreate(void* desc, int compute, int scale)',
  descSet: 'int cublasLtMatmulDescSetAttribute(uint64_t desc, int attribute, const void* value, size_t bytes)',
  descDestroy: 'int cublasLtMatmulDescDestroy(uint64_t desc)',
  layoutCreate: 'int cublasLtMatrixLayoutCreate(void* layout, int type, uint64_t rows, uint64_t cols, int64_t ld)',
  layoutDestroy: 'int cublasLtMatrixLayoutDestroy(uint64_t layout)',
  preferenceCreate: 'int cublasLtMatmulPreferenceCreate(void* preference)',
  preferenceSet: 'int cublasLtMatmulPreferenceSetAttribute(uint64_t preference, int attribute, const void* value, size_t bytes)',
  preferenceDestroy: 'int cublasLtMatmulPreferenceDestroy(uint64_t preference)',
  heuristic:
    'int cublasLtMatmulAlgoGetHeuristic(uint64_t handle, uint64_t desc, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t preference, int wanted, void* results, void* found)',
  matmul:
    'int cublasLtMatmul(uint64_t handle, uint64_t desc, const void* alpha, uint64_t a, uint64_t aLayout, uint64_t b, uint64_t bLayout, const void* beta, uint64_t c, uint64_t cLayout, uint64_t d, uint64_t dLayout, const void* algorithm, uint64_t workspace, size_t bytes, uint64_t stream)',
} as const

/** cudaDataType_t, cublasComputeType_t, cublasLtMatmulDescAttributes_t, cublasLtMatmulPreferenceAttributes_t, cublasLtEpilogue_t */
const TYPE = { f32: 0, bf16: 14 } as Record<CudaTensor['dtype'], number>
const COMPUTE_32F = 68
const DESC = { transA: 3, transB: 4, epilogue: 7, biasPointer: 8 }
const PREFERENCE = { workspace: 1, alignmentA: 5 }
const EPILOGUE_BIAS = 4
/** cublasStatus_t */
const STATUS: Readonly<Record<number, string>> = {
  1: 'not initialized',
  3: 'allocation failed',
  7: 'invalid value',
  8: 'architecture mismatch',
  13: 'execution failed',
  14: 'internal error',
  15: 'not supported',
}
/** what it says where it finds no memory for itself */
const NO_MEMORY = [1, 3]
/** sizeof(cublasLtMatmulHeuristicResult_t); the algorithm is its first 64 bytes */
const RESULT = 96
/** what NVIDIA recommends for Hopper */
export const WORKSPACE = 32 << 20
/** with more free than this it is not for want of memory that it can't begin */
const LEAST_FREE = 256 << 20

const statusName = (status: number) => `status ${status}${STATUS[status] ? ` (${STATUS[status]})` : ''}`

interface Prepared {
  desc: bigint
  a: bigint
  b: bigint
  c: bigint
  d: bigint
  algorithm: Uint8Array
}

export class Matmuls {
  readonly path: string
  readonly #card: Card
  readonly #f: Record<keyof typeof FUNCTIONS, ForeignFunction>
  readonly #handle: bigint
  readonly #workspace: bigint
  /** of products that run beside others, as large, so that the algorithm is the same */
  #workspaceBeside = 0n
  readonly #prepared = new Map<string, Prepared>()
  readonly #alpha = new Float32Array(1)
  readonly #beta = new Float32Array(1)

  constructor(card: Card) {
    const { library, path } = openLibrary('cublasLt', Math.floor(card.driverVersion / 1000))
    this.path = path
    this.#card = card
    this.#f = Object.fromEntries(Object.entries(FUNCTIONS).map(([key, signature]) => [key, library.func(signature)])) as Record<
      keyof typeof FUNCTIONS,
      ForeignFunction
    >
    card.driver.enter() // the handle is of the card whose context the thread has
    this.#handle = this.#create()
    this.#workspace = card.alloc(WORKSPACE, "cuBLASLt's workspace")
  }

  /** Before products run on a queue beside the card's stream. @throws SaqrError MEMORY_REFUSED */
  readyBeside(): void {
    this.#workspaceBeside ||= this.#card.alloc(WORKSPACE, "cuBLASLt's workspace beside others")
  }

  /** Enqueues the product on the card's stream, or on the queue beside it (`readyBeside`), where it has a workspace of its own: the same bits. */
  run(launch: MatmulLaunch, queue?: bigint): void {
    const { a, b, c, y, bias } = launch
    if (queue && !this.#workspaceBeside) throw new Error('products beside others have no workspace: readyBeside() comes first')
    this.#card.driver.enter()
    const p = this.#prepare(launch)
    if (bias) this.#set('descSet', p.desc, DESC.biasPointer, new BigUint64Array([bias.at]))
    this.#alpha[0] = launch.alpha
    this.#beta[0] = c ? 1 : 0
    // row-major y = a · b is column-major yᵀ = bᵀ · aᵀ: the operands change places
    const from = c ?? y
    this.#check(
      'matmul',
      launch,
      this.#f.matmul(
        this.#handle,
        p.desc,
        this.#alpha,
        b.at,
        p.a,
        a.at,
        p.b,
        this.#beta,
        from.at,
        p.c,
        y.at,
        p.d,
        p.algorithm,
        queue ? this.#workspaceBeside : this.#workspace,
        WORKSPACE,
        queue ?? this.#card.stream,
      ),
    )
  }

  #prepare(launch: MatmulLaunch): Prepared {
    const key = keyOf(launch)
    let p = this.#prepared.get(key)
    if (!p) this.#prepared.set(key, (p = this.#describe(launch)))
    return p
  }

  #describe(launch: MatmulLaunch): Prepared {
    const { a, b, c, y, transA, transB, bias } = launch
    const desc = this.#new('descCreate', COMPUTE_32F, TYPE.f32)
    this.#set('descSet', desc, DESC.transA, Int32Array.of(transB ? 1 : 0))
    this.#set('descSet', desc, DESC.transB, Int32Array.of(transA ? 1 : 0))
    if (bias) this.#set('descSet', desc, DESC.epilogue, Int32Array.of(EPILOGUE_BIAS))
    // a row-major (rows, cols) matrix is a column-major (cols, rows) one
    const layout = (t: CudaTensor) => this.#new('layoutCreate', TYPE[t.dtype], t.cols, t.rows, t.stride)
    const p = { desc, a: layout(b), b: layout(a), c: layout(c ?? y), d: layout(y), algorithm: new Uint8Array(RESULT) }
    const preference = this.#new('preferenceCreate')
    this.#set('preferenceSet', preference, PREFERENCE.workspace, new BigUint64Array([BigInt(WORKSPACE)]))
    ;[b, a, c ?? y, y].forEach((t, i) => {
      this.#set('preferenceSet', preference, PREFERENCE.alignmentA + i, Int32Array.of(alignmentOf(t)))
    })
    const found = new Int32Array(1)
    const status = this.#f.heuristic(this.#handle, desc, p.a, p.b, p.c, p.d, preference, 1, p.algorithm, found)
    this.#f.preferenceDestroy(preference)
    this.#check('heuristic', launch, status)
    if (found[0] === 0) throw this.#error(`no algorithm for ${spelled(launch)}`)
    return p
  }

  /** @throws SaqrError MEMORY_REFUSED where the card has none left for the library itself, which says so in other words */
  #create(): bigint {
    const out = new BigUint64Array(1)
    const status = this.#f.create(out) as number
    if (status === 0) return out[0]!
    const error = this.#error(`create returned ${statusName(status)}`)
    const { free } = this.#card.memory()
    if (!NO_MEMORY.includes(status) || free > LEAST_FREE) throw error
    throw new SaqrError(
      'MEMORY_REFUSED',
      `${this.#card.name} has only ${Math.floor(free / 2 ** 20)} MiB free, too little for cuBLASLt itself: others hold the rest (nvidia-smi lists them). ${error.message}`,
      { cause: error },
    )
  }

  #new(name: keyof typeof FUNCTIONS, ...args: unknown[]): bigint {
    const out = new BigUint64Array(1)
    const status = this.#f[name](out, ...args) as number
    if (status !== 0) throw this.#error(`${name} returned ${statusName(status)}`)
    return out[0]!
  }

  #set(name: 'descSet' | 'preferenceSet', object: bigint, attribute: number, value: ArrayBufferView): void {
    const status = this.#f[name](object, attribute, value, value.byteLength) as number
    if (status !== 0) throw this.#error(`attribute ${attribute}: ${statusName(status)}`)
  }

  #check(what: string, launch: MatmulLaunch, status: unknown): void {
    if (status !== 0) throw this.#error(`${what} returned ${statusName(status as number)} for ${spelled(launch)}`)
  }

  #error(message: string): SaqrError {
    return new SaqrError('DEVICE_CUDA', `cuBLASLt (${this.path}): ${message}`)
  }

  dispose(): void {
    this.#card.driver.enter()
    for (const p of this.#prepared.values()) {
      this.#f.descDestroy(p.desc)
      for (const layout of [p.a, p.b, p.c, p.d]) this.#f.layoutDestroy(layout)
    }
    this.#f.destroy(this.#handle)
    this.#card.free(this.#workspace)
    this.#card.free(this.#workspaceBeside)
  }
}

/** the largest power of two up to 256 that divides the address: what a kernel may count on */
function alignmentOf(t: CudaTensor): number {
  const low = Number(t.at & 255n)
  return low === 0 ? 256 : low & -low
}

function keyOf({ a, b, c, y, transA, transB, bias }: MatmulLaunch): string {
  const part = (t: CudaTensor) => `${t.dtype},${t.rows},${t.cols},${t.stride},${alignmentOf(t)}`
  return [part(a), part(b), part(c ?? y), part(y), transA, transB, bias !== null, c !== null, c?.at === y.at].join(';')
}

function spelled({ a, b, y, transA, transB }: MatmulLaunch): string {
  const part = (t: CudaTensor, trans: boolean) =>
    `${t.dtype} (${t.rows} × ${t.cols}, stride ${t.stride}, ${bytesOf(t.dtype)}-byte)${trans ? 'ᵀ' : ''}`
  return `${part(a, transA)} · ${part(b, transB)} -> ${part(y, false)}`
}
