/** Texts side by side: each gets the numbers it would have alone, whatever stands beside it, begins as it does, or comes and goes. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { CpuDevice } from '../../src/devices/cpu/device.ts'
import { LanguageModel } from '../../src/engine/language-model.ts'
import { OpenedModel } from '../../src/engine/opened-model.ts'
import { SeededRandom } from '../../src/engine/random.ts'
import { SaqrError } from '../../src/error.ts'
import { DecodeLoop } from '../../src/generate/decode-loop.ts'
import { PagePool } from '../../src/generate/page-pool.ts'
import { openCheckpoint } from '../../src/models/checkpoint.ts'
import { answersOf } from './texts.ts'

const root = join(import.meta.dirname, '../fixtures/families')
const devices: CpuDevice[] = []
afterEach(() => {
  for (const device of devices.splice(0)) device.dispose()
})

function open(name: string, choice: Partial<OpenedModel['choice']> = {}): LanguageModel {
  const device = new CpuDevice({ threads: 2 })
  devices.push(device)
  const opened = new OpenedModel(device, openCheckpoint(join(root, name, 'model')), {
    dtype: 'f32',
    loadIn4bit: false,
    doubleQuant: false,
    ...choice,
  })
  return new LanguageModel(opened, { kind: 'none' }, 0)
}

const drawn = (count: number, vocab: number, seed: number) => {
  const random = new SeededRandom(seed, 'ids')
  return Array.from({ length: count }, () => Math.floor(random.uniform() * vocab))
}

// a family of each kind of attention and MLP
const FAMILIES = ['llama-mha', 'qwen3', 'gemma2', 'gemma3', 'phi3', 'phi3-longrope', 'mixtral', 'deepseek-v3', 'gpt-oss']
describe.each(FAMILIES)('%s', (name) => {
  it.each(['f32', 'bf16'] as const)('prompts of all lengths get the answers they have alone, in %s', async (dtype) => {
    const model = open(name, { dtype })
    const { vocab, maxPositions } = model.opened.model
    const most = Math.min(60, maxPositions - 12)
    const prompts = [1, 7, most, 2, 33, 16, 5, 20, 3].map((count, i) => drawn(Math.min(count, most), vocab, i))
    const together = await answersOf(model, prompts, { maxNewTokens: 10 })
    for (const [i, prompt] of prompts.entries())
      expect(await answersOf(model, [prompt], { maxNewTokens: 10 }), `prompt ${i}`).toEqual([together[i]])
  })
})

it('a text that is read anew as a long one is of the weights of that moment', async () => {
  const m = open('phi3-longrope')
  const { vocab, longBeyond } = m.opened.model
  const version = vi.spyOn(m, 'version', 'get').mockReturnValue(0)
  const loop = new DecodeLoop(m)
  const ids = drawn(longBeyond!, vocab, 1)
  const text = await loop.add(ids, ids.length + 8)
  version.mockReturnValue(1) // trained on
  await loop.step([[text, 3]])
  loop.remove(text, true)
  const runs = vi.spyOn(m.opened.device, 'run')
  await loop.add([...ids, 3, 5], ids.length + 8)
  // what it was read as is a beginning still: what is new is all that is read
  const tokens = runs.mock.calls.flatMap(([, { ids }]) => (ids ? [ids.byteLength / 4] : []))
  expect([tokens.length, Math.max(...tokens) < longBeyond!]).toEqual([1, true])
  loop.dispose()
})

describe('a loop', () => {
  const model = () => open('llama-mha')
  /** positions enough for pages to be shared */
  const long = (model: LanguageModel) => {
    Object.defineProperty(model.opened.model, 'maxPositions', { value: 2000 })
    return model
  }

  it('computes what texts begin with once, to the same bits', async () => {
    const m = long(model())
    const { vocab } = m.opened.model
    const beginning = drawn(300, vocab, 1)
    const prompts = [5, 90, 1, 129].map((count, i) => [...beginning, ...drawn(count, vocab, 2 + i)])
    const alone: Float32Array[] = []
    for (const prompt of prompts) {
      const loop = new DecodeLoop(m)
      alone.push((await loop.add(prompt, 600)).logits)
      loop.dispose()
    }
    const loop = new DecodeLoop(m)
    const read = vi.spyOn(m.opened.device, 'run')
    const texts = []
    const passes: number[] = []
    for (const prompt of prompts) {
      read.mockClear()
      texts.push(await loop.add(prompt, 600))
      passes.push(read.mock.calls.length)
    }
    // 305, 390, 301 and 429 tokens in parts of 128, of which all but the first text share two
    expect(passes).toEqual([3, 2, 1, 2])
    for (const [i, text] of texts.entries()) expect(text.logits, `text ${i}`).toEqual(alone[i])
  })

  it.each([true, false])('keeps what was let go of for more than those that begin as it does: exact %s', async (exact) => {
    const m = long(model())
    const { vocab } = m.opened.model
    const first = drawn(830, vocab, 1)
    // a page of it, and nothing more
    const second = [...first.slice(0, 128), (first[128]! + 1) % vocab, ...drawn(200, vocab, 2)]
    const loop = new DecodeLoop(m, 1e9, exact)
    const run = vi.spyOn(m.opened.device, 'run')
    const ask = async (prompt: readonly number[]) => {
      run.mockClear()
      const text = await loop.add(prompt, 900)
      loop.remove(text, true)
      return { passes: run.mock.calls.length, logits: text.logits }
    }
    const asked = []
    for (const prompt of [first, first, second, first, second]) asked.push(await ask(prompt))
    expect(asked.map(({ passes }) => passes)).toEqual([7, 1, 2, 1, 1])
    // the last token alone is summed in another order: that is what exact is for
    if (exact) for (const [i, j] of [[1, 0], [3, 0], [4, 2]] as const) expect(asked[i]!.logits).toEqual(asked[j]!.logits) // biome-ignore format: short
    loop.dispose()
  })

  // few tokens (a GEMV's rows), more (a block's), pages and parts of pages; mixtures' experts sum few rows in another order than many
  it.each(['llama-mha', 'gemma3', 'phi3', 'mixtral', 'gpt-oss'])(
    'reads prompts side by side to the bits of one alone: %s',
    async (name) => {
      for (const dtype of ['f32', 'bf16'] as const) {
        const m = long(open(name, { dtype }))
        const { vocab } = m.opened.model
        const prompts = [45, 9, 3, 128, 30, 5, 1, 150, 17, 8, 64, 300, 12].map((count, i) => drawn(count, vocab, 20 + i))
        const alone: Float32Array[] = []
        for (const prompt of prompts) {
          const loop = new DecodeLoop(m)
          alone.push((await loop.add(prompt, 400)).logits)
          loop.dispose()
        }
        const loop = new DecodeLoop(m)
        const run = vi.spyOn(m.opened.device, 'run')
        const texts = prompts.map((prompt) => loop.begin(prompt, 400))
        while (texts.some(({ whole }) => !whole)) await loop.read(texts)
        for (const [i, text] of texts.entries()) expect(text.logits, `${prompts[i]!.length} tokens, ${dtype}`).toEqual(alone[i])
        // 772 tokens in 16 parts, four of them of 17 tokens in few rows: in three passes of those and five of up to 256, or each part alone
        expect(run.mock.calls.length).toBe(['mixtral', 'gpt-oss'].includes(name) ? 16 : 8)
        run.mockRestore()
        loop.dispose()
      }
    },
  )

  it('that is exact gives a text the bits of one alone whatever was read and answered before', async () => {
    const m = long(open('llama-mha', { dtype: 'bf16' }))
    const prompt = drawn(150, m.opened.model.vocab, 3)
    const [exact, other] = [new DecodeLoop(m, 1e9, true), new DecodeLoop(m, 1e9)]
    const alone = await other.add(prompt, 400)
    const of = (x: Float32Array) => x.slice()
    const expected = of(alone.logits)
    let asked: readonly number[] = prompt
    for (let turn = 0; turn < 3; turn++) {
      // asked anew, and gone on from
      for (let again = 0; again < 2; again++) {
        const text = await exact.add(asked, 400)
        const fresh = new DecodeLoop(m)
        expect(text.logits, `turn ${turn}, ${again}`).toEqual(turn === 0 ? expected : (await fresh.add(asked, 400)).logits)
        fresh.dispose()
        for (let n = 0; n < 20; n++) await exact.step([[text, text.likeliest]])
        if (again === 1) asked = [...text.ids, 5]
        exact.remove(text, true)
      }
    }
    exact.dispose()
    other.dispose()
  })

  it('prompts that come at once and begin alike: what they begin with is read once, to the same bits', async () => {
    const m = long(model())
    const { vocab } = m.opened.model
    const beginning = drawn(300, vocab, 1)
    const prompts = [5, 90, 1, 129].map((count, i) => [...beginning, ...drawn(count, vocab, 2 + i)])
    const alone = []
    for (const prompt of prompts) {
      const loop = new DecodeLoop(m)
      alone.push((await loop.add(prompt, 600)).logits)
      loop.dispose()
    }
    const loop = new DecodeLoop(m)
    const texts = prompts.map((prompt) => loop.begin(prompt, 600))
    let read = 0
    while (texts.some(({ whole }) => !whole)) read += await loop.read(texts)
    // two pages once, and each what it has behind them
    expect(read).toBe(2 * 128 + 4 * 44 + 5 + 90 + 1 + 129)
    for (const [i, text] of texts.entries()) expect(text.logits, `text ${i}`).toEqual(alone[i])
    // one that goes leaves the others' pages
    loop.remove(texts[0]!)
    await loop.step(texts.slice(1).map((text) => [text, 7] as const))
    const fresh = await new DecodeLoop(m).add([...prompts[1]!, 7], 600)
    expect(texts[1]!.likeliest).toBe(fresh.likeliest)
    loop.dispose()
  })

  it('on a device whose sums depend on how many rows a pass has: passes of two sizes, and what was answered is read anew', async () => {
    const m = long(model())
    const { device } = m.opened
    const { vocab } = m.opened.model
    const described = device.describe()
    vi.spyOn(device, 'describe').mockReturnValue({ ...described, generationRows: 4 })
    const run = vi.spyOn(device, 'run')
    const sizes = () => run.mock.calls.map(([[item]]) => item!.plan.plan.tokens)
    const prompt = drawn(150, vocab, 80)
    const loop = new DecodeLoop(m)
    const texts = [await loop.add(prompt, 600, { plain: true }), await loop.add(drawn(3, vocab, 81), 600, { plain: true })]
    expect(sizes()).toEqual([128, 128, 128])
    run.mockClear()
    for (let n = 0; n < 20; n++) await loop.step(texts.map((text) => [text, text.likeliest] as const))
    expect(sizes()).toEqual(Array.from({ length: 20 }, () => 4))
    for (const text of texts) loop.remove(text, true)
    // all 170 tokens of the first were read, 150 as a prompt's: of the next turn the other 20 and its own are read, to a page's end and beyond
    run.mockClear()
    const turn = await loop.add([...texts[0]!.ids, ...drawn(120, vocab, 82)], 600)
    expect(run.mock.calls.map(([, { ids, position }]) => [(ids as Int32Array)[0], (position as Int32Array)[0]])).toEqual([
      [texts[0]!.ids[150], 150],
      [turn.ids[256], 256],
    ])
    const fresh = (await new DecodeLoop(m).add(turn.ids, 600)).logits
    // rows at other places of a pass, whose products end in another order here
    for (const [i, x] of turn.logits.entries()) expect(Math.abs(x - fresh[i]!)).toBeLessThan(1e-4)
  })

  it('lets texts in and go at any time', async () => {
    const m = model()
    const { vocab } = m.opened.model
    const prompts = [3, 12, 30].map((count, i) => drawn(count, vocab, 20 + i))
    const expected = await Promise.all(prompts.map((prompt) => answersOf(m, [prompt], { maxNewTokens: 6 }).then(([ids]) => ids!)))
    const loop = new DecodeLoop(m)
    const best = (x: Float32Array) => x.indexOf(Math.max(...x))
    const a = await loop.add(prompts[0]!, 40)
    await loop.step([[a, best(a.logits)]])
    const b = await loop.add(prompts[1]!, 40)
    for (let n = 0; n < 3; n++) await loop.step([a, b].map((text) => [text, best(text.logits)] as const))
    loop.remove(a)
    const c = await loop.add(prompts[2]!, 40)
    for (let n = 0; n < 2; n++) await loop.step([c, b].map((text) => [text, best(text.logits)] as const))
    expect([a, b, c].map((text, i) => text.ids.slice(prompts[i]!.length))).toEqual([4, 5, 2].map((n, i) => expected[i]!.slice(0, n)))
    expect(loop.size).toBe(2)
  })

  it('grows by pages, and keeps what lies in those there are', async () => {
    const m = long(model())
    const { vocab } = m.opened.model
    const prompts = Array.from({ length: 6 }, (_, i) => drawn(200 + 40 * i, vocab, 40 + i))
    const expected: number[][] = []
    for (const prompt of prompts) expected.push(...(await answersOf(m, [prompt], { maxNewTokens: 5 })))
    const store = vi.spyOn(m.opened.device, 'store')
    const sizes = () => [...new Set(store.mock.calls.splice(0).map(([, { rows }]) => rows))]
    const loop = new DecodeLoop(m)
    const texts = []
    for (const prompt of prompts) texts.push(await loop.add(prompt, 600))
    // a text's 5 pages ahead for each that is there; doubled where that is more
    expect(sizes()).toEqual([1024, 2560])
    for (let n = 0; n < 4; n++) await loop.step(texts.map((text) => [text, text.likeliest] as const))
    expect(texts.map((text) => [...text.ids, text.likeliest])).toEqual(prompts.map((prompt, i) => [...prompt, ...expected[i]!]))
    loop.dispose()
    // for prompts that come together at once: 2 + 2 + 3 + 3 + 3 + 4 pages
    expect(await answersOf(m, prompts, { maxNewTokens: 5 })).toEqual(expected)
    expect(sizes()).toEqual([17 * 128])
  })

  it('grows a cache at a time, and has what it had where there is no memory for that', async () => {
    const m = long(model())
    const { device } = m.opened
    // what lies in the store beside the weights, and the most that did
    const lies = new Map<string, number>()
    const sum = () => [...lies.values()].reduce((a, b) => a + b, 0)
    let [most, calls, refused, beyond] = [0, 0, Number.POSITIVE_INFINITY, 0]
    const [store, drop] = [device.store.bind(device), device.drop.bind(device)]
    vi.spyOn(device, 'store').mockImplementation((name, spec) => {
      if (++calls >= refused && spec.rows > beyond) throw new SaqrError('MEMORY_REFUSED', 'full')
      store(name, spec)
      lies.set(name, spec.rows * spec.cols * 4)
      most = Math.max(most, sum())
    })
    vi.spyOn(device, 'drop').mockImplementation((name) => {
      drop(name)
      lies.delete(name)
    })
    const prompts = [100, 1200].map((count, i) => drawn(count, m.opened.model.vocab, 50 + i))
    const loop = new DecodeLoop(m)
    const text = await loop.add(prompts[0]!, 200)
    const before = new Map(lies)
    // what is wanted is refused, and then what is needed
    beyond = 8 * 128
    refused = calls + 3
    await expect(loop.add(prompts[1]!, 1300)).rejects.toMatchObject({ code: 'MEMORY_REFUSED' })
    expect(lies).toEqual(before)
    refused = Number.POSITIVE_INFINITY
    await loop.step([[text, 5]])
    const bytes = sum()
    // others have taken some of it: what is needed is enough
    const less = new DecodeLoop(m)
    beyond = 12 * 128
    refused = calls
    expect((await less.add(prompts[1]!, 2000)).logits).toHaveLength(m.opened.model.vocab)
    expect(less.size).toBe(1)
    refused = Number.POSITIVE_INFINITY
    less.dispose()
    most = 0
    await loop.add(prompts[1]!, 1300)
    // 8 pages became 16: beside those, the last cache to be moved in its smaller form
    expect([sum(), most]).toEqual([2 * bytes, 2 * bytes + bytes / lies.size])
    vi.restoreAllMocks()
    const alone = new DecodeLoop(m)
    const again = await alone.add(prompts[0]!, 200)
    await alone.step([[again, 5]])
    expect(text.logits).toEqual(again.logits)
    for (const one of [loop, alone]) one.dispose()
  })

  it('counts as free what no weights lie in', () => {
    const { device } = model().opened
    const { mapped } = device.resident()
    expect(mapped).toBeGreaterThan(0)
    vi.spyOn(process, 'availableMemory').mockReturnValue(3 * mapped)
    vi.spyOn(process, 'constrainedMemory').mockReturnValue(0)
    expect(device.free()).toBe(2 * mapped)
    // a container's limit has counted the pages of files that are in memory
    vi.spyOn(process, 'constrainedMemory').mockReturnValue(2 ** 30)
    const none = { heapTotal: 0, heapUsed: 0, external: 0, arrayBuffers: 0 }
    const usage = vi.spyOn(process, 'memoryUsage').mockReturnValue({ rss: 2 ** 30, ...none })
    expect(device.free()).toBe(3 * mapped)
    // and not those that aren't
    usage.mockReturnValue({ rss: 0, ...none })
    expect(device.free()).toBe(2 * mapped)
    vi.restoreAllMocks()
  })

  it('goes on from a text that was let go', async () => {
    const m = model()
    const prompt = drawn(40, m.opened.model.vocab, 60)
    const loop = new DecodeLoop(m)
    const [answer] = await answersOf(m, [prompt], { maxNewTokens: 4 }, loop)
    const first = await loop.add(prompt, 60)
    await loop.step([[first, answer![0]!]])
    loop.remove(first, true)
    const run = vi.spyOn(m.opened.device, 'run')
    const more = [...prompt, answer![0]!, 3, 1]
    const text = await loop.add(more, 60)
    // two tokens are new
    const [, inputs] = run.mock.calls[0]!
    expect(Array.from(inputs.position as Int32Array).filter((at) => at >= 0)).toEqual([41, 42])
    const alone = await new DecodeLoop(m).add(more, 60)
    // the first answer's keys came from a pass of one token, as they do while it answers: sums in another order
    for (const [i, x] of text.logits.entries()) expect(Math.abs(x - alone.logits[i]!)).toBeLessThan(1e-4)
    loop.dispose()
  })

  it('refuses what memory does not hold, and lets texts wait for each other', async () => {
    const m = long(model())
    const { vocab, layers } = m.opened.model
    const {
      hidden_size: C,
      num_attention_heads: H,
      num_key_value_heads: G = H,
    } = JSON.parse(readFileSync(join(root, 'llama-mha/model/config.json'), 'utf8'))
    const page = layers * 2 * (C / H) * G * 128 * 4
    // room for five pages, of which a loop takes 0.8
    vi.spyOn(m.opened.device, 'free').mockReturnValue(5.1 * page)
    const loop = new DecodeLoop(m)
    expect(loop.fits(512)).toBe(true)
    await expect(answersOf(m, [drawn(500, vocab, 1)], { maxNewTokens: 20 })).rejects.toMatchObject({
      code: 'MEMORY_REFUSED',
      message: expect.stringMatching(/text of 520 tokens.*at most 512 tokens/),
    })
    const prompts = [1, 2, 3].map((seed) => drawn(140 + seed, vocab, seed))
    const together = await answersOf(m, prompts, { maxNewTokens: 6 })
    vi.restoreAllMocks()
    for (const [i, prompt] of prompts.entries()) expect(await answersOf(m, [prompt], { maxNewTokens: 6 })).toEqual([together[i]])
  })
})

it('pages go back when nobody holds them', () => {
  const pool = new PagePool()
  pool.grow(3)
  const [a, b] = [pool.take(), pool.take()]
  expect([a, b, pool.free]).toEqual([0, 1, 1])
  pool.share(a)
  pool.giveBack(a)
  expect([pool.shared(a), pool.free]).toEqual([false, 1])
  pool.giveBack(a)
  pool.grow(5)
  expect([pool.take(), pool.take(), pool.free]).toEqual([0, 2, 2])
})
