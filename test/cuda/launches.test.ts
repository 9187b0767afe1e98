/** What a step becomes on a card, as far as it shows without one: which kernels and products, in which order, on which memory. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { targetOf } from '../../src/devices/cuda/compiler.ts'
import { CudaDevice } from '../../src/devices/cuda/device.ts'
import { candidates, driverLibrary } from '../../src/devices/cuda/libraries.ts'
import { SaqrError } from '../../src/error.ts'
import { complete } from '../../src/ops/attrs.ts'
import { type CudaStep, type CudaTensor, elementwise, source } from '../../src/ops/cuda-launch.ts'
import { cudaOps } from '../../src/ops/generated/cuda.ts'
import { CODES, RING } from '../../src/ops/grouped-product/hopper.ts'

const card = { arch: 90 }
const quant = { codebook: 1n, absmax: 2n, absmax8: 0n, code2: 0n, absmax2: 0n, offset: 0, blocksize: 64, blocksize2: 1 }

function tensor(at: number, rows: number, cols: number, dtype: CudaTensor['dtype'], stride = cols): CudaTensor {
  return { at: BigInt(at), rows, cols, stride, dtype, quant: dtype === 'nf4' ? quant : null }
}

const step = (op: string, inputs: CudaStep['inputs'], outputs: CudaTensor[], attrs: CudaStep['attrs'] = {}): CudaStep => ({
  name: 'module',
  op: cudaOps[op]!.op,
  inputs,
  outputs,
  attrs: complete(cudaOps[op]!.op, attrs),
})

describe('product', () => {
  const x = tensor(0x1000, 24, 64, 'bf16')
  const w = tensor(0x2000, 96, 64, 'nf4')
  const u = tensor(0x3000, 24, 16, 'bf16')
  const b = tensor(0x4000, 96, 16, 'f32')
  const y = tensor(0x5000, 24, 96, 'bf16')
  const bias = tensor(0x6000, 1, 96, 'f32')
  const lora = step('product', [null, bias, x, w, u, b], [y])

  test('brings each weight into scratch ahead of its own product, the bias with the last', () => {
    const launches = cudaOps.product!.run.launch(lora, 0x10000n, card)
    expect(launches.map((l) => (l.kind === 'kernel' ? l.name : l.kind))).toEqual([
      'cast_pieces',
      'dequantise_nf4_bf16',
      'matmul',
      'cast_pieces',
      'matmul',
    ])
    const [first, second] = launches.filter((l) => l.kind === 'matmul')
    // 192 bytes of bias are padded to 256, the weights' slot follows
    expect(first).toMatchObject({ c: null, bias: null, transB: true, b: { at: 0x10100n, dtype: 'bf16', rows: 96, cols: 64, stride: 64 } })
    expect(second).toMatchObject({ c: y, bias: { at: 0x10000n, dtype: 'bf16' }, b: { at: 0x10100n, rows: 96, cols: 16 } })
  })

  test('asks for the bias and the largest weight at once, on Hopper for all weights', () => {
    expect(cudaOps.product!.run.scratch!(lora, { arch: 80 })).toBe(256 + 96 * 64 * 2)
    expect(cudaOps.product!.run.scratch!(lora, card)).toBe(256 + 96 * 64 * 2 + 96 * 16 * 2)
  })

  test('of few rows is one kernel that reads weights as they are stored, from sm_80 on', () => {
    const few = (t: CudaTensor) => ({ ...t, rows: 16 })
    const made = (arch: number, weight = w) =>
      cudaOps
        .product!.run.launch(step('product', [null, bias, few(x), weight, few(u), b], [few(y)]), 0x10000n, { arch })
        .map((l) => (l.kind === 'kernel' ? `${l.name} ${l.grid}` : l.kind))
    expect(made(90)).toEqual(['product_few_1 6,1,1'])
    expect(made(80)).toEqual(made(90))
    expect(made(75)).toContain('matmul')
    // a weight that NF4 can't be read of so isn't in bf16 either
    for (const dtype of ['nf4', 'bf16'] as const) {
      const narrow = tensor(0x2000, 96, 48, dtype)
      const plain = step('product', [null, null, tensor(0x1000, 16, 48, 'bf16'), narrow], [few(y)])
      expect(cudaOps.product!.run.launch(plain, 0x10000n, card).at(-1)).toMatchObject({ kind: 'matmul' })
    }
    // blocks that no shift finds
    expect(made(90, { ...w, quant: { ...quant, blocksize: 96 } })).toContain('matmul')
  })

  test('reads weights of its own type where they lie', () => {
    const plain = step('product', [y, null, x, tensor(0x2000, 96, 64, 'bf16')], [y], { alpha: 0.5 })
    expect(cudaOps.product!.run.launch(plain, 0n, card)).toMatchObject([{ kind: 'matmul', c: y, alpha: 0.5, b: { at: 0x2000n } }])
    expect(cudaOps.product!.run.scratch!(plain, card)).toBe(0)
  })
})

describe('products on Hopper', () => {
  const bf16 = (rows: number, cols: number, stride = cols, at = 0x100000) => tensor(at, rows, cols, 'bf16', stride)
  const names = (op: string, inputs: CudaStep['inputs'], output: CudaTensor, attrs: CudaStep['attrs'] = {}, arch = 90) =>
    cudaOps[op]!.run.launch(step(op, inputs, [output], attrs), 0x10000n, { arch }).map((l) =>
      l.kind === 'kernel' ? `${l.name} ${l.grid}` : l.kind,
    )
  const [x, w, u, b, y] = [bf16(4096, 512), bf16(1024, 512), bf16(4096, 16), tensor(0x4000, 1024, 16, 'f32'), bf16(4096, 1024)]

  test('read the parts where they lie', () => {
    expect(names('product', [null, null, x, w, u, b], y)).toEqual(['cast_pieces 64,1,1', 'product_large_256 128,1,1'])
    expect(names('product', [null, null, x, w, u, b], y, {}, 80)).toEqual(['matmul', 'cast_pieces 64,1,1', 'matmul'])
    expect(names('product', [y, null, x, w], y)).toEqual(['matmul'])
    const trans = [y, null, y, w, u, tensor(0x4000, 16, 512, 'f32'), u, tensor(0x8000, 16, 512, 'f32')]
    expect(names('product', trans, x, { trans: true })).toEqual(['cast_pieces 32,2,1', 'product_large_128_trans 128,1,1'])
  })

  test('are left to cuBLASLt where no tile can be copied, rows are few, parts many', () => {
    const matmuls = (inputs: CudaStep['inputs'], output = y) => names('product', inputs, output).filter((name) => name === 'matmul').length
    expect(matmuls([null, null, x, w, bf16(4096, 5), bf16(1024, 5, 8)])).toBe(2)
    expect(matmuls([null, null, x, w, bf16(4096, 16, 16, 0x100008), bf16(1024, 16)])).toBe(2)
    expect(matmuls([null, null, bf16(128, 512), w, bf16(128, 16), bf16(1024, 16)], bf16(128, 1024))).toBe(2)
    expect(matmuls([null, null, ...Array.from({ length: 9 }, () => [x, w]).flat()])).toBe(9)
  })
})

describe("experts' products on Hopper", () => {
  test('have their biases as one more part, whatever the weight is stored in', () => {
    // gpt-oss-20b: 32 experts (2880, 5760), low rank, biases by the first of eight columns
    const [offsets, x, y] = [tensor(0, 33, 1, 'i32'), tensor(0x100000, 4096, 2880, 'bf16'), tensor(0x200000, 4096, 5760, 'bf16')]
    const [u, b] = [tensor(0x300000, 4096, 16, 'bf16'), tensor(0x400000, 32 * 16, 5760, 'f32')]
    const [column, biases] = [tensor(0x500000, 4096, 1, 'bf16', 8), tensor(0x600000, 32, 5760, 'bf16')]
    const names = (dtype: CudaTensor['dtype'], biased: CudaTensor) =>
      cudaOps
        .grouped_product!.run.launch(
          step('grouped_product', [offsets, x, tensor(0x700000, 32 * 2880, 5760, dtype), u, b, biased, biases], [y], { trans: true }),
          0x10000n,
          card,
        )
        .map((l) => (l.kind === 'kernel' ? l.name : l.kind))
    expect(names('bf16', column)).toEqual(['cast_pieces', 'zero', 'grouped_hopper_trans'])
    expect(names('nf4', column)).toEqual(['cast_pieces', 'zero', 'grouped_hopper_nf4_trans'])
    // no tile can be copied of a column alone
    expect(names('nf4', tensor(0x500000, 4096, 1, 'bf16'))).toEqual(['grouped_tensor_trans'])
  })
})

describe('grouped products on Hopper', () => {
  const [E, n, k] = [4, 192, 128]
  const offsets = tensor(0x100, E + 1, 1, 'i32')
  const [x, y] = [tensor(0x100000, 300, k, 'bf16'), tensor(0x200000, 300, n, 'bf16')]
  const weight = (dtype: CudaTensor['dtype'], rest: Partial<NonNullable<CudaTensor['quant']>> = {}) => {
    const w = tensor(0x300000, E * n, k, dtype)
    return { ...w, quant: w.quant && { ...w.quant, ...rest } }
  }
  const names = (w: CudaTensor, inputs = [offsets, x, w]) =>
    cudaOps
      .grouped_product!.run.launch(step('grouped_product', inputs, [y]), 0x10000n, card)
      .map((l) => (l.kind === 'kernel' ? l.name : l.kind))

  test('read codes where a run of 64 has one scale, found by shifts', () => {
    expect(names(weight('bf16'))).toEqual(['zero', 'grouped_hopper'])
    expect(names(weight('nf4'))).toEqual(['zero', 'grouped_hopper_nf4'])
    expect(names(weight('nf4', { blocksize: 128, absmax8: 3n, blocksize2: 256 }))).toEqual(['zero', 'grouped_hopper_nf4'])
    for (const rest of [{ blocksize: 32 }, { blocksize: 192 }, { blocksize2: 96 }])
      expect(names(weight('nf4', rest))).toEqual(['grouped_tensor'])
  })

  const launched = (w: CudaTensor, of = offsets) =>
    cudaOps.grouped_product!.run.launch(step('grouped_product', [of, x, w], [y]), 0n, card)[1]
  test('have a block a tile of 128 columns and up to 256 tokens, 320 where w is in codes, as many as there may be', () => {
    // 300 rows of four experts are five tiles where three have a row each; of 320 rows no expert has more than one
    expect(launched(weight('bf16'))).toMatchObject({ grid: [5 * 2, 1, 1], block: 384 })
    expect(launched(weight('nf4'))).toMatchObject({ grid: [4 * 2, 1, 1], block: 512 })
  })

  test('fit into a block’s shared memory with 1,024 experts', () => {
    const many = { ...offsets, rows: 1025 }
    for (const dtype of ['bf16', 'nf4'] as const) {
      const w = weight(dtype)
      const launch = launched({ ...w, rows: (w.rows / E) * 1024 }, many) as { shared: number }
      expect(launch.shared).toBeGreaterThan(200_000)
      expect(launch.shared).toBeLessThanOrEqual(227 * 1024) // of sm_90 (CUDA C++ Programming Guide, "Technical Specifications per Compute Capability")
    }
  })

  test('are of the sizes that their source has', () => {
    const source = readFileSync(new URL('../../src/ops/grouped-product/hopper-tiles.cuh', import.meta.url), 'utf8')
    const both = (name: string) =>
      source
        .match(new RegExp(`${name} = NF4 \\? (\\d+) : (\\d+);`))!
        .slice(1)
        .map(Number)
    const one = (name: string) => Number(source.match(new RegExp(`${name} = (\\d+);`))![1])
    expect(both('kTokens')).toEqual([RING.decoding.high, RING.dense.high])
    expect(both('kStages')).toEqual([RING.decoding.stages, RING.dense.stages])
    expect([one('kCodeStages'), one('kSlots')]).toEqual([CODES.stages, CODES.slots])
  })

  test('gradients: tiles as wide as x, left to the other kernel where no tile can be copied or dW is not read in pairs', () => {
    const names = (dY: CudaTensor, x: CudaTensor, dW = tensor(0x400000, E * dY.cols, x.cols, 'f32')) =>
      cudaOps
        .grouped_weight_grad!.run.launch(step('grouped_weight_grad', [offsets, dY, x, dW], [dW]), 0n, card)
        .map((l) => l.kind === 'kernel' && `${l.name} ${l.grid}`)
    const act = (cols: number, stride = cols) => tensor(0x100000, 300, cols, 'bf16', stride)
    expect(names(act(192), act(16))).toEqual([`grouped_hopper_grad_64 ${E * 2},1,1`])
    expect(names(act(16), act(104))).toEqual([`grouped_hopper_grad_128 ${E},1,1`])
    expect(names(act(16), act(512))).toEqual([`grouped_hopper_grad_256 ${E * 2},1,1`])
    for (const [dY, x] of [[act(5), act(512)], [act(16), act(3, 8)]] as const) expect(names(dY, x)[0]).toMatch(/^grouped_tensor_grad/) // biome-ignore format: short
  })
})

describe('element-wise kernels', () => {
  const from = source(new URL('../../src/ops/add/cuda.ts', import.meta.url).href)
  const name = (...tensors: CudaTensor[]) => elementwise(from, step('add', [], []), 'add', tensors).name

  test('move 16 bytes at once where every row begins at such a place', () => {
    expect(name(tensor(0, 4, 64, 'bf16'), tensor(4096, 4, 64, 'bf16', 128))).toBe('add_bf16x8')
    expect(name(tensor(0, 4, 64, 'f32'))).toBe('add_f32x4')
    expect(name(tensor(2, 4, 64, 'bf16'))).toBe('add_bf16')
    expect(name(tensor(0, 4, 64, 'bf16'), tensor(0, 4, 64, 'bf16', 100))).toBe('add_bf16')
    expect(name(tensor(0, 4, 63, 'f32'))).toBe('add_f32')
  })

  test('refuse other types by name', () => {
    expect(() => name(tensor(0, 4, 64, 'bf16'), tensor(0, 4, 64, 'f32'))).toThrow(/module: .*bf16 with f32/)
  })
})

describe('attention', () => {
  const last = (headDim: number, dtype: 'bf16' | 'f32', arch = 90, softCap = 0, valueDim = headDim) => {
    const [q, v] = [tensor(0, 128, 2 * headDim, dtype), tensor(0, 128, 2 * valueDim, dtype)]
    const mask = [0, 1, 2].map(() => tensor(0, 128, 1, 'i32'))
    const s = step('attention', [q, q, v, ...mask, null], [v, tensor(0, 128, 2, 'f32')], {
      heads: 2,
      kvHeads: 2,
      headDim,
      valueDim,
      scale: 1,
      softCap,
    })
    return cudaOps
      .attention!.run.launch(s, 0n, { arch })
      .map((l) => l.kind === 'kernel' && `${l.source.name} ${l.name}`)
      .at(-1)
  }

  test('backward: queries and keys each have a kernel; what goes before is made once', () => {
    const x = tensor(0x100000, 300, 4 * 128, 'bf16')
    const kv = tensor(0x200000, 300, 2 * 128, 'bf16')
    const mask = [0, 1, 2].map(() => tensor(0, 300, 1, 'i32'))
    const inputs = [x, x, tensor(0, 300, 4, 'f32'), x, kv, kv, ...mask]
    const s = step('attention_backward', inputs, [x, kv, kv], { heads: 4, kvHeads: 2, headDim: 128, valueDim: 128, scale: 1 })
    const launches = (arch: number) =>
      cudaOps.attention_backward!.run.launch(s, 0x1000n, { arch }).map((l) => l.kind === 'kernel' && [l.name, ...l.grid])
    expect(launches(90)).toEqual([
      ['attention_prepare', 3, 1, 1],
      ['attention_statistics', 24, 4, 1],
      // three blocks of keys and room for four parts more, of two heads each: 36 pairs of a head and a tile of queries, eight a part
      ['attention_key_grad_hopper_128', 14, 1, 1],
      ['attention_query_grad_hopper_128', 12, 1, 1],
    ])
    expect(launches(80)).toEqual([
      ['attention_prepare', 2, 1, 1],
      ['attention_statistics', 24, 4, 1],
      ['attention_key_grad_tensor_128', 2, 6, 1],
      ['attention_query_grad_tensor_128', 4, 6, 1],
    ])
    // 384 tokens in whole blocks: of a head two floats each, of a key four words; tiles, orders, queues, maps and blocks of keys
    const scratch = (arch: number) => cudaOps.attention_backward!.run.scratch!(s, { ...card, arch })
    const before = 2 * 4 * 384 * 4 + 384 * 16 + 256 + 3 * 128 + 512
    expect(scratch(80)).toBe(before + 128)
    // the blocks' parts too, for each of 2 × 8 warps of a head whether it is done, and sums
    expect(scratch(90)).toBe(before + 128 + 4 * 2 * 16 * 4 + 4 * 2 * 128 * 256 * 4)
  })

  test('who cuts blocks of keys, who makes room for their parts and who times both have the same numbers', () => {
    const read = (path: string) => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8')
    const found = (path: string, ...patterns: RegExp[]) => patterns.map((pattern) => Number(pattern.exec(read(path))?.[1]))
    const both = found('src/ops/attention/pieces.cuh', /kShares = (\d+)/, /kLeastSteps = (\d+)/)
    expect(both).toEqual([132, 8])
    expect(found('src/ops/attention/cuda.ts', /HOPPER_BLOCKS = (\d+)/, /LEAST_STEPS = (\d+)/)).toEqual(both)
    expect(found('bench/attention.py', /LEAST_STEPS = 128, (\d+)/, /LEAST_STEPS = 128, 132, (\d+)/)).toEqual(both)
  })

  test('runs on tensor cores where there are such and heads fit them', () => {
    expect(last(128, 'bf16')).toBe('attention/hopper128.cu attention_hopper_128')
    expect(last(256, 'bf16', 90, 50)).toBe('attention/hopper256-capped.cu attention_hopper_256_capped')
    expect(last(136, 'bf16')).toBe('attention/hopper192.cu attention_hopper_192')
    expect(last(128, 'bf16', 80)).toBe('attention/tensor128.cu attention_tensor_128')
    expect(last(40, 'bf16', 120)).toBe('attention/tensor64.cu attention_tensor_64')
    expect(last(128, 'bf16', 89, 50)).toBe('attention/tensor128-capped.cu attention_tensor_128_capped')
    expect(last(256, 'bf16', 89)).toBe('attention/tensor256.cu attention_tensor_256')
    expect(last(264, 'bf16')).toBe('attention/simple.cu attention_simple_bf16_512')
    expect(last(128, 'bf16', 75)).toBe('attention/simple.cu attention_simple_bf16_128')
    expect(last(20, 'bf16')).toBe('attention/simple.cu attention_simple_bf16_128')
    expect(last(64, 'f32')).toBe('attention/simple.cu attention_simple_f32_128')
    expect(last(288, 'f32')).toBe('attention/simple.cu attention_simple_f32_512')
    // both sizes have to fit
    expect(last(192, 'bf16', 90, 0, 128)).toBe('attention/hopper192x128.cu attention_hopper_192x128')
    expect(last(192, 'bf16', 90, 2, 128)).toBe('attention/hopper192-capped.cu attention_hopper_192_capped')
    expect(last(160, 'bf16', 80, 0, 96)).toBe('attention/tensor192x128.cu attention_tensor_192x128')
    expect(last(64, 'bf16', 80, 0, 200)).toBe('attention/tensor256.cu attention_tensor_256')
    expect(last(192, 'bf16', 80, 0, 100)).toBe('attention/simple.cu attention_simple_bf16_256')
    expect(() => last(520, 'f32')).toThrow(/up to 512/)
  })
})

describe('libraries', () => {
  const root = mkdtempSync(join(tmpdir(), 'saqr-cuda-'))
  afterEach(() => {
    vi.unstubAllEnvs()
    rmSync(root, { recursive: true, force: true })
  })

  test('are looked for in CUDA_HOME, then in the Python environment, then left to the loader; never newer than the driver', () => {
    const [home, wheel] = [join(root, 'toolkit/lib64'), join(root, 'venv/lib/python3.12/site-packages/nvidia/cu13/lib')]
    for (const folder of [home, wheel]) {
      mkdirSync(folder, { recursive: true })
      for (const major of [12, 13]) writeFileSync(join(folder, `libnvrtc.so.${major}`), '')
    }
    vi.stubEnv('CUDA_HOME', join(root, 'toolkit'))
    vi.stubEnv('VIRTUAL_ENV', join(root, 'venv'))
    const ours = candidates('nvrtc').filter((path) => path.startsWith(root) || !path.includes('/'))
    expect(ours).toEqual([
      join(home, 'libnvrtc.so.13'),
      join(home, 'libnvrtc.so.12'),
      join(wheel, 'libnvrtc.so.13'),
      join(wheel, 'libnvrtc.so.12'),
      'libnvrtc.so.13',
      'libnvrtc.so.12',
    ])
    expect(candidates('nvrtc', 12).every((path) => path.endsWith('.12'))).toBe(true)
  })

  test('of the driver are looked for where WSL, Kubernetes and NixOS keep them, behind the loader’s own path', () => {
    const folders = ['/usr/lib/wsl/lib/', '/usr/local/nvidia/lib64/', '/run/opengl-driver/lib/']
    expect(driverLibrary('libcuda.so.1', 'nvcuda.dll', 'linux')).toEqual(['', ...folders].map((folder) => `${folder}libcuda.so.1`))
    expect(driverLibrary('libcuda.so.1', 'nvcuda.dll', 'win32')).toEqual(['nvcuda.dll'])
  })

  test("compile for Hopper's and Blackwell's own instructions", () => {
    expect([75, 80, 89, 90, 100, 120].map(targetOf)).toEqual(['sm_75', 'sm_80', 'sm_89', 'sm_90a', 'sm_100a', 'sm_120a'])
  })
})

test('without a card there is one clear error; with one, the device opens', () => {
  try {
    const device = new CudaDevice()
    expect(device.describe().kind).toBe('cuda')
    device.dispose()
  } catch (error) {
    expect(error).toBeInstanceOf(SaqrError)
    expect(error).toMatchObject({
      code: expect.stringMatching(/^DEVICE_CUDA_(MISSING|DRIVER|LIBRARY)$/),
      message: expect.stringMatching(/install|nvidia-smi|[Uu]pdate/),
    })
  }
})
