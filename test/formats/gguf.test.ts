import { createHash } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Tokenizer } from '@huggingface/tokenizers'
import { describe, expect, test } from 'vitest'
import { readRange } from '../../src/formats/files.ts'
import { decoders } from '../../src/formats/gguf/dequantise.ts'
import { readGguf } from '../../src/formats/gguf/open.ts'
import { preTokenizers } from '../../src/formats/gguf/pre-tokenizers.ts'
import { ggufTokenizer } from '../../src/formats/gguf/tokenizer.ts'
import { asF32, bytesOf, f32ToBf16 } from '../../src/formats/numbers.ts'
import { openCheckpoint, readConfig } from '../../src/models/checkpoint.ts'
import { Tokenizer as OwnTokenizer } from '../../src/text/tokenizer.ts'
import { digest, fixture, recorded, temporary } from './fixtures.ts'
import { bool, f32, type GgufParts, ggufBytes, list, llama, type Tensor, text, texts, u32, u64 } from './gguf-writer.ts'

describe('blocks', () => {
  const expected = recorded<Record<string, string>>('blocks.json')
  const { tensors } = readGguf(fixture('blocks.gguf'))
  test.each(Object.keys(decoders))('%s gives the bits that the gguf package gives', (name) => {
    const { offset, bytes, type, shape } = tensors.get(name)!
    const out = new Float32Array(shape[0]! * shape[1]!)
    decoders[name]!(readRange(fixture('blocks.gguf'), offset, bytes), 0, bytes / type.bytes, out, 0)
    expect(digest(bytesOf(out))).toBe(expected[name])
  })
})

describe('a model', () => {
  const { config, tensors } = recorded<{ config: Record<string, unknown>; tensors: Record<string, string> }>('llama.json')
  const model = openCheckpoint(fixture('llama.gguf'))

  test('has the configuration that transformers reads', () => {
    for (const [key, value] of Object.entries(config)) {
      // f32 in the file: we give the decimal number it was, transformers its f32
      const ours = typeof value === 'number' ? Math.fround(model.config[key] as number) : model.config[key]
      expect([key, ours]).toEqual([key, value])
    }
    expect(model.config.rms_norm_eps).toBe(1e-5)
    expect(readConfig(fixture('llama.gguf'))).toEqual(model.config)
  })

  test('has the tensors that transformers loads, bit for bit', () => {
    expect([...model.tensors.keys()].sort()).toEqual(Object.keys(tensors).sort())
    for (const tensor of model.tensors.values())
      expect([tensor.name, digest(tensor.load('f32'))]).toEqual([tensor.name, tensors[tensor.name]])
  })

  test('loads rows in part, and as bf16 rounded once', () => {
    for (const tensor of model.tensors.values()) {
      const whole = asF32(tensor.load('f32'))
      expect(digest(tensor.load('bf16'))).toBe(digest(bytesOf(f32ToBf16(whole))))
      if (tensor.rows < 8) continue
      const part = tensor.load('f32', 3, tensor.rows - 6)
      expect(digest(part)).toBe(digest(bytesOf(whole.subarray(3 * tensor.cols, (tensor.rows - 3) * tensor.cols))))
      expect(() => tensor.load('f32', tensor.rows, 1)).toThrow(RangeError)
    }
  })

  test('of Llama with biases and a head of its own is what it was made from', () => {
    const weights = recorded<Record<string, string>>('bias.json')
    const biased = openCheckpoint(fixture('bias.gguf'))
    expect(biased.config).toMatchObject({ attention_bias: true, mlp_bias: false, tie_word_embeddings: false })
    expect(Object.fromEntries([...biased.tensors.values()].map((tensor) => [tensor.name, digest(tensor.load('f32'))]))).toEqual(weights)
  })

  test('is mapped where its bytes are as we want them, else loaded', () => {
    const biased = openCheckpoint(fixture('bias.gguf'))
    const value = biased.tensors.get('model.layers.0.self_attn.v_proj.weight')!
    expect(value).toMatchObject({ dtype: 'f16', rows: 16, cols: 32, storage: 'F16' })
    expect(digest(readRange(value.source!.path, value.source!.offset, value.bytes))).toBe(
      digest(readRange(fixture('bias.gguf'), value.source!.offset, 1024)),
    )
    expect(biased.tensors.get('model.layers.0.self_attn.q_proj.weight')!.source).toBeUndefined()
    expect(model.tensors.get('model.embed_tokens.weight')).toMatchObject({ dtype: 'f32', storage: 'Q8_0', source: undefined })
  })
})

describe('tokenizers', () => {
  // threads that make rows have them as JSON
  test.each(['tokenizer-llama-bpe.gguf', 'tokenizer-smollm.gguf', 'tokenizer-spm.gguf'])(
    '%s is, written as JSON and read, the same',
    (name) => {
      const files = ggufTokenizer(readGguf(fixture(name)), name)!
      const before = new OwnTokenizer(files)
      const after = new OwnTokenizer(JSON.parse(JSON.stringify(files)))
      const [digits] = Object.keys((files.tokenizerJson as { model: { vocab: object } }).model.vocab)
      expect([before.tokenOf(0) === digits, /^[0-9]$/.test(digits!)]).toEqual([false, true])
      expect(after.fingerprint(new Date(0))).toBe(before.fingerprint(new Date(0)))
    },
  )

  const tokenizerOf = (path: string) => ggufTokenizer(readGguf(path), path)
  const { texts: sample, cases } = recorded<{ texts: string[]; cases: Record<string, number[][]> }>('tokenizers.json')
  test.each(Object.keys(cases))('%s gives the ids of the model it came from', (name) => {
    const { tokenizerJson, tokenizerConfig } = tokenizerOf(fixture(name))!
    const tokenizer = new Tokenizer(tokenizerJson, tokenizerConfig)
    expect(sample.map((one) => [one, tokenizer.encode(one).ids])).toEqual(sample.map((one, i) => [one, cases[name]![i]]))
  })

  test('bring their special tokens and chat template', () => {
    const { tokenizerConfig, chatTemplate, chatTemplates } = tokenizerOf(fixture('tokenizer-llama-bpe.gguf'))!
    expect(tokenizerConfig).toMatchObject({ bos_token: '<|start|>', eos_token: '<|end|>', pad_token: '<|end|>', add_bos_token: true })
    expect(chatTemplate).toContain('messages')
    expect(chatTemplates).toEqual({})
  })

  test('of an unknown kind are refused by name, and only when asked for', () => {
    const model = open({
      metadata: {
        ...llama,
        'tokenizer.ggml.model': text('gpt2'),
        'tokenizer.ggml.pre': text('martian'),
        'tokenizer.ggml.tokens': texts(['a']),
      },
    })
    expect(() => model.tokenizer).toThrow(
      expect.objectContaining({ code: 'FORMAT_GGUF_TOKENIZER', message: expect.stringContaining('martian') }),
    )
    const unigram = open({ metadata: { ...llama, 'tokenizer.ggml.model': text('t5'), 'tokenizer.ggml.tokens': texts(['a']) } })
    expect(() => unigram.tokenizer).toThrow(expect.objectContaining({ code: 'FORMAT_GGUF_TOKENIZER' }))
    expect(open({ metadata: llama }).tokenizer).toBeUndefined()
    // llama.cpp goes by the model's name
    const phi = Object.fromEntries(Object.entries(llama).map(([key, value]) => [key.replace(/^llama\./, 'phi3.'), value]))
    const kind = { 'general.architecture': text('phi3'), 'tokenizer.ggml.model': text('llama'), 'tokenizer.ggml.tokens': texts(['a']) }
    expect(() => open({ metadata: { ...phi, ...kind } }).tokenizer).toThrow(
      expect.objectContaining({ code: 'FORMAT_GGUF_TOKENIZER', message: expect.stringContaining('swallow white space') }),
    )
  })

  test('that are broken name the place', () => {
    const broken = (more: GgufParts['metadata']) =>
      open({
        metadata: {
          ...llama,
          'tokenizer.ggml.model': text('gpt2'),
          'tokenizer.ggml.pre': text('gpt-2'),
          'tokenizer.ggml.tokens': texts(['a', 'b', 'ab']),
          ...more,
        },
      }).tokenizer
    expect(() => broken({ 'tokenizer.ggml.merges': texts(['a b', 'ab']) })).toThrow(/merges\[1\]/)
    expect(() => broken({ 'tokenizer.ggml.merges': texts([]), 'tokenizer.ggml.bos_token_id': u32(7) })).toThrow(/bos_token_id is 7/)
    expect(() => broken({ 'tokenizer.ggml.merges': texts([]), 'tokenizer.ggml.token_type': list(5, [1]) })).toThrow(/1 token types/)
    expect(() => broken({ 'tokenizer.ggml.merges': text('a b') })).toThrow(/list of texts/)
  })
})

function file(parts: GgufParts | Buffer): string {
  const path = join(temporary(), 'm.gguf')
  writeFileSync(path, Buffer.isBuffer(parts) ? parts : ggufBytes(parts))
  return path
}
const open = (parts: GgufParts) => openCheckpoint(file(parts))

test.each([
  // SHA-256 of what their published tokenizer.json has as pre_tokenizer (V2's and V3's)
  ['deepseek-llm', 'b61dda4f7692d800ef9f1db24582d635e751ddcdc0bf73e7248df0d942521720'],
  ['deepseek-v3', 'cc572e220022c0478342340857ca26bb840143c2f8f6758fd832d35e5b69ee3d'],
])('%s cuts text by the published rules', (name, sha256) => {
  const { preTokenizer } = preTokenizers[name]!
  expect(createHash('sha256').update(JSON.stringify(preTokenizer)).digest('hex')).toBe(sha256)
})

describe('RoPE scaling', () => {
  const cases = recorded<{ parameters: Record<string, unknown>; head_dim: number; factors: number[] }[]>('rope.json')
  const scaled = (more: GgufParts['metadata'], tensors: Tensor[] = []) =>
    readConfig(file({ metadata: { ...llama, ...more }, tensors })).rope_scaling

  test.each(cases)('Llama 3 is recovered from its factors: $parameters, head of $head_dim', ({ parameters, head_dim, factors }) => {
    const { rope_theta, ...scaling } = parameters
    const tensor: Tensor = { name: 'rope_freqs.weight', dimensions: [factors.length], type: 0, data: bytesOf(Float32Array.from(factors)) }
    const meta = {
      'llama.rope.freq_base': f32(rope_theta as number),
      'llama.attention.key_length': u32(head_dim),
      'llama.attention.value_length': u32(head_dim),
    }
    expect(scaled(meta, [tensor])).toEqual(scaling)
  })

  test('other factors are refused', () => {
    const tensor: Tensor = { name: 'rope_freqs.weight', dimensions: [8], type: 0, data: bytesOf(Float32Array.of(1, 2, 3, 4, 5, 6, 7, 8)) }
    expect(() => scaled({}, [tensor])).toThrow(expect.objectContaining({ code: 'FORMAT_GGUF_ARCHITECTURE' }))
  })

  test('linear and YaRN', () => {
    expect(scaled({ 'llama.rope.scaling.type': text('linear'), 'llama.rope.scaling.factor': f32(4) })).toEqual({
      rope_type: 'linear',
      factor: 4,
    })
    expect(
      scaled({
        'llama.rope.scaling.type': text('yarn'),
        'llama.rope.scaling.factor': f32(4),
        'llama.rope.scaling.original_context_length': u32(32),
      }),
    ).toEqual({ rope_type: 'yarn', factor: 4, original_max_position_embeddings: 32 })
    expect(scaled({ 'llama.rope.scaling.factor': f32(4) })).toEqual({ rope_type: 'linear', factor: 4 }) // as llama.cpp takes it
    expect(scaled({ 'llama.rope.scale_linear': f32(4) })).toEqual({ rope_type: 'linear', factor: 4 })
    expect(scaled({ 'llama.rope.scaling.type': text('none'), 'llama.rope.scaling.factor': f32(4) })).toBeUndefined()
    expect(scaled({ 'llama.rope.scaling.factor': f32(1) })).toBeUndefined()
    expect(() => scaled({ 'llama.rope.scaling.type': text('yarn') })).toThrow(/scaling\.factor/)
    expect(() => scaled({ 'llama.rope.scaling.type': text('longrope'), 'llama.rope.scaling.factor': f32(4) })).toThrow(/longrope/)
  })
})

describe('models we do not have', () => {
  test.each([
    ['another architecture', { 'general.architecture': text('rwkv7') }, /rwkv7.*llama, qwen2, qwen3/],
    ['a mixture of experts', { 'general.architecture': text('qwen3'), 'qwen3.expert_count': u32(8) }, /mixture of experts/],
    ['a mixture that says no k', { 'llama.expert_count': u32(8) }, /llama\.expert_used_count/],
    ['an adapter', { 'general.type': text('adapter') }, /adapter/],
    ['a part of several', { 'split.count': u32(3) }, /one of 3 parts, and its name doesn't/],
    ['an unknown switch', { 'llama.new_switch': f32(0) }, /llama\.new_switch/],
    ['a scale of its logits', { 'llama.logit_scale': f32(2) }, /llama\.logit_scale/],
    ['another scale of its scores', { 'llama.attention.scale': f32(0.5) }, /llama\.attention\.scale/],
    ['partial rotation', { 'llama.attention.key_length': u32(16), 'llama.rope.dimension_count': u32(8) }, /rotated/],
    ['layers that differ', { 'llama.attention.head_count_kv': list(4, [1, 2]) }, /every layer/],
    ['nothing of its size', { 'llama.block_count': text('1') }, /block_count/],
  ])('%s', (_, more, message) => {
    expect(() => open({ metadata: { ...llama, ...more } })).toThrow(
      expect.objectContaining({ name: 'SaqrError', message: expect.stringMatching(message) }),
    )
  })

  test.each([
    ['attention.layer_norm_epsilon', f32(1e-5)],
    ['attention.scale', f32(0)],
    ['logit_scale', f32(1)],
    ['nextn_predict_layers', u32(0)],
    ['pooling_type', u32(1)],
    ['tensor_data_layout', text('Meta AI original pth')],
    ['use_parallel_residual', bool(false)],
    ['final_logit_softcapping', f32(0)],
    ['attention.sliding_window', u32(0)],
    ['attention.sliding_window', u32(1 << 20)],
  ])('%s that changes nothing is no reason to refuse', (key, value) => {
    const { generationConfig, config } = open({ metadata: llama })
    expect(open({ metadata: { ...llama, [`llama.${key}`]: value } })).toMatchObject({ generationConfig, config })
  })

  test('a window makes Llama a Mistral', () => {
    expect(open({ metadata: { ...llama, 'llama.attention.sliding_window': u32(64) } }).config).toMatchObject({
      model_type: 'mistral',
      sliding_window: 64,
    })
  })
})

describe('a file that is not sound', () => {
  const tensor = (more: Partial<Tensor> = {}): Tensor => ({
    name: 'token_embd.weight',
    dimensions: [32, 10],
    type: 0,
    data: new Uint8Array(1280),
    ...more,
  })
  const cases: [string, RegExp, GgufParts | Buffer][] = [
    ['is empty', /start with GGUF/, Buffer.alloc(0)],
    ['is something else', /start with GGUF/, Buffer.alloc(100, 'x')],
    ['is of version 1', /version 1; .* Convert the model/, { metadata: {}, version: 1 }],
    ['is big endian', /big endian.*Convert the model/, { metadata: {}, version: 0x03000000 }],
    ['announces more tensors than fit', /tensors/, { metadata: {}, tensorCount: 2n ** 63n }],
    ['announces more values than fit', /metadata values/, { metadata: {}, valueCount: 1000 }],
    ['is cut in its metadata', /cut short|room/, ggufBytes({ metadata: llama }).subarray(0, 100)],
    ['is cut in its tensors', /cut short/, ggufBytes({ metadata: llama, tensors: [tensor()] }).subarray(0, -64)],
    [
      'has a string longer than itself',
      /bytes of/,
      Buffer.concat([ggufBytes({ metadata: { a: text('') } }).subarray(0, -8), Buffer.alloc(8, 0x7f)]),
    ],
    [
      'has a list longer than itself',
      /values of/,
      Buffer.concat([ggufBytes({ metadata: { a: list(4, []) } }).subarray(0, -8), Buffer.alloc(8, 0x7f)]),
    ],
    ['has a key twice', /twice/, { metadata: [['a', u32(1)], ['a', u32(2)]] }], // biome-ignore format: one case a line
    ['has a tensor twice', /same name/, { metadata: llama, tensors: [tensor(), tensor()] }],
    ['has an unknown value type', /value type 77/, { metadata: { a: { type: 77, value: null } } as never }],
    ['has a truth value of 2', /truth value/, { metadata: { a: bool(2) } }],
    ['has text that is not UTF-8', /UTF-8/, { metadata: { a: text(Buffer.from([0xff])) } }],
    ['nests lists deeply', /deeply/, { metadata: { a: [0, 0, 0, 0].reduce((v) => list(9, [v.value]), list(4, [1])) } }],
    ['has an odd alignment', /alignment/, { metadata: { 'general.alignment': u32(3) } }],
    ['has a tensor of no dimension', /0 dimensions/, { metadata: llama, tensors: [tensor({ dimensions: [] })] }],
    ['has a tensor of size 0', /dimension of 0/, { metadata: llama, tensors: [tensor({ dimensions: [32, 0] })] }],
    ['has a tensor beyond 2^53', /dimension of/, { metadata: llama, tensors: [tensor({ dimensions: [2n ** 40n, 2n ** 40n] })] }],
    ['has rows that are no blocks', /multiple of the 32/, { metadata: llama, tensors: [tensor({ type: 8, dimensions: [33, 10] })] }],
    ['has a type we do not have', /Q2_K/, { metadata: llama, tensors: [tensor({ type: 10 })] }],
    ['has tensors that overlap', /overlap/, { metadata: llama, tensors: [tensor(), tensor({ name: 'output.weight', offset: 0 })] }],
    ['has a hole', /hole/, { metadata: llama, tensors: [tensor({ offset: 64 })] }],
    ['has an unaligned tensor', /multiple of 32/, { metadata: llama, tensors: [tensor({ offset: 4 })] }],
    ['has an offset beyond all', /at byte 18446744073709551615/, { metadata: llama, tensors: [tensor({ offset: 2n ** 64n - 1n })] }],
    ['lies about its vocabulary', /10.*rows/, { metadata: { ...llama, 'llama.vocab_size': u64(11) }, tensors: [tensor()] }],
  ]
  test.each(cases)('%s', (_, message, parts) => {
    expect(() => openCheckpoint(file(parts))).toThrow(
      expect.objectContaining({ name: 'SaqrError', message: expect.stringMatching(message) }),
    )
  })
})
