import { describe, expect, test } from 'vitest'
import type { Example } from '../../src/data/example.ts'
import { longExamples } from '../../src/data/long.ts'
import { type Pass, type PassOptions, paddedTokens, planPasses, type Whole } from '../../src/data/passes.ts'
import { say } from '../../src/error.ts'

/** deterministic numbers in [0, n) (Park and Miller's generator) */
function random(seed: number) {
  let state = seed
  return (n: number) => (state = (state * 48271) % 2147483647) % n
}

/** rows over few preambles and few ids, so that they share beginnings of every length, repeat and contain each other */
function rowsAlike(seed: number, count: number): Example[] {
  const next = random(seed)
  const preambles = Array.from({ length: 5 }, () => Int32Array.from({ length: 20 + next(60) }, () => next(50)))
  return Array.from({ length: count }, (_, i) => {
    const preamble = preambles[next(5)]!
    const head = next(4) === 0 ? preamble.subarray(0, next(preamble.length)) : preamble
    const ids = Int32Array.from([...head, ...Array.from({ length: 1 + next(30) }, () => next(3))])
    return { ids, targets: Uint8Array.from(ids, () => (next(3) ? 1 : 0)), row: i + 1, source: 'made' }
  })
}

const sequences = (examples: Example[]) =>
  examples.flatMap(({ ids, targets, starts = Int32Array.of(0) }) =>
    Array.from(starts, (from, i) => {
      const to = starts[i + 1] ?? ids.length
      return { ids: ids.slice(from, to), targets: targets.slice(from, to) }
    }),
  )

/** distinct beginnings (as strings) of the rows; rows only share when their first `minShared` tokens agree */
function bruteForceTokens(rows: Int32Array[], minShared: number): number {
  const nodes = new Set<string>()
  rows.forEach((ids, r) => {
    const alike = rows.some(
      (other, o) => o !== r && other.length >= minShared && ids.subarray(0, minShared).join() === other.subarray(0, minShared).join(),
    )
    const group = ids.length >= minShared && alike ? 'shared' : `row ${r}`
    for (let n = 1; n <= ids.length; n++) nodes.add(`${group}:${ids.subarray(0, n).join()}`)
  })
  return nodes.size
}

/** what query t sees, by the mask alone */
function seen(pass: Pass, t: number): number[] {
  const keys: number[] = []
  for (let j = 0; j < pass.tokens; j++) if (pass.visibleFrom[j]! <= t && t < pass.visibleUntil[j]!) keys.push(j)
  return keys
}

const beginning = (pass: Pass, t: number) => seen(pass, t).map((j) => pass.ids[j]!)

/** every (context, target) of a pass with its weight */
function predictions(pass: Pass): Map<string, number> {
  const found = new Map<string, number>()
  for (let h = 0; h < pass.headCount; h++) {
    const context = beginning(pass, pass.headPositions[h]!).join()
    for (let e = pass.entryStart[h]!; e < pass.entryStart[h + 1]!; e++) {
      const key = `${context} -> ${pass.entryTarget[e]}`
      found.set(key, (found.get(key) ?? 0) + pass.entryWeight[e]!)
    }
  }
  return found
}

const sum = (passes: Pass[], key: 'rowTokens' | 'computedTokens' | 'targets') => passes.reduce((n, p) => n + p[key], 0)

function checkExact(examples: Example[], options: PassOptions) {
  const passes = planPasses(examples, options)
  const rows = sequences(examples)
  expect(passes.flatMap((pass) => pass.sequences.map(({ row }) => row)).sort((a, b) => a - b)).toEqual(rows.map((_, i) => i))
  expect(sum(passes, 'rowTokens')).toBe(rows.reduce((n, r) => n + r.ids.length, 0))

  const expected = new Map<string, number>()
  for (const { ids, targets } of rows) {
    for (let p = 0; p + 1 < ids.length; p++) {
      if (!targets[p + 1]) continue
      const key = `${ids.subarray(0, p + 1).join()} -> ${ids[p + 1]}`
      expected.set(key, (expected.get(key) ?? 0) + 1)
    }
  }
  const found = new Map<string, number>()
  const whole = new Map<string, number>() // paths from a root to any token
  for (const pass of passes) {
    expect(pass.tokens).toBeLessThanOrEqual(options.maxPassTokens)
    expect(pass.computedTokens).toBeLessThanOrEqual(pass.tokens)
    for (const [key, n] of predictions(pass)) found.set(key, (found.get(key) ?? 0) + n)
    for (let t = 0; t < pass.tokens; t++) {
      const ancestors = seen(pass, t)
      if (t >= pass.computedTokens) {
        expect(ancestors).toEqual([t])
        expect(pass.row[t]).toBe(-1)
        continue
      }
      expect(ancestors.map((j) => pass.depth[j])).toEqual(ancestors.map((_, i) => i)) // one token at each depth, in order
      expect(pass.position[t]).toBe(ancestors.length - 1)
      const key = ancestors.map((j) => pass.ids[j]).join()
      whole.set(key, (whole.get(key) ?? 0) + 1)
      const row = rows[pass.row[t]!]!
      expect(row.ids.subarray(0, ancestors.length).join()).toBe(key)
    }
    for (let h = pass.headCount; h <= pass.tokens; h++) expect(pass.entryStart[h]).toBe(pass.entryStart[pass.headCount])
    expect(pass.targets).toBe(pass.entryWeight.reduce((a, b) => a + b, 0))
    for (let h = 0; h < pass.headCount; h++) {
      const context = beginning(pass, pass.headPositions[h]!)
      for (let e = pass.entryStart[h]!; e < pass.entryStart[h + 1]!; e++) {
        const those = [...pass.entrySequence.subarray(pass.entrySequenceStart[e], pass.entrySequenceStart[e + 1])]
        expect(new Set(those).size).toBe(pass.entryWeight[e]) // each row that has it as a target, once
        for (const s of those) {
          const { ids, targets } = pass.sequences[s]!
          expect([...ids.subarray(0, context.length + 1)]).toEqual([...context, pass.entryTarget[e]])
          expect(targets[context.length]).toBe(1)
        }
      }
    }
  }
  expect(found).toEqual(expected)
  for (const { ids } of rows) expect(whole.has(ids.join())).toBe(true)
  return passes
}

test('a pass is a multiple of the quantum, or as long as it may be', () => {
  const examples = rowsAlike(3, 60)
  const lengths = checkExact(examples, { maxPassTokens: 250, prefixSharing: false, quantum: 128 }).map((pass) => pass.tokens)
  expect([...new Set(lengths)].sort()).toEqual([128, 250])
})

describe('rows as a trie', () => {
  test.each([1, 2, 3, 4])('one pass: exact, and as many tokens as a brute-force trie has (seed %i)', (seed) => {
    const examples = rowsAlike(seed, 40)
    const [pass, ...others] = checkExact(examples, { maxPassTokens: 8192 })
    expect(others).toEqual([])
    expect(pass!.computedTokens).toBe(
      bruteForceTokens(
        examples.map((e) => e.ids),
        16,
      ),
    )
    expect(pass!.computedTokens).toBeLessThan(pass!.rowTokens)
  })

  test('without sharing every row is laid on its own, in the order of the rows', () => {
    const examples = rowsAlike(5, 30)
    const [pass] = checkExact(examples, { maxPassTokens: 8192, prefixSharing: false })
    expect(pass!.computedTokens).toBe(pass!.rowTokens)
    expect([...pass!.ids.subarray(0, pass!.computedTokens)]).toEqual(examples.flatMap((e) => [...e.ids]))
  })

  test('15 tokens alike are not shared, 16 are', () => {
    const ids = (last: number, n: number) => Int32Array.from({ length: n + 1 }, (_, i) => (i < n ? i : last))
    const pair = (n: number) =>
      [ids(900, n), ids(901, n)].map((x, i) => ({ ids: x, targets: new Uint8Array(x.length).fill(1), row: i + 1, source: 'made' }))
    expect(planPasses(pair(15), { maxPassTokens: 256 })[0]!.computedTokens).toBe(32)
    expect(planPasses(pair(16), { maxPassTokens: 256 })[0]!.computedTokens).toBe(18)
  })

  test('where rows part, a position has several targets; the same row twice counts twice', () => {
    const row = (...ids: number[]): Example => ({
      ids: Int32Array.from(ids),
      targets: Uint8Array.from(ids, () => 1),
      row: 1,
      source: 'made',
    })
    const [pass] = planPasses([row(7, 8, 9), row(7, 8, 5), row(7, 8, 9)], { maxPassTokens: 8, minShared: 2, quantum: 8 })
    expect(pass).toMatchObject({ tokens: 8, computedTokens: 4, rowTokens: 9, targets: 6, headCount: 2 })
    expect(pass!.sequences.length).toBe(3)
    expect([...pass!.ids.subarray(0, 4)]).toEqual([7, 8, 5, 9])
    expect([...pass!.visibleUntil]).toEqual([4, 4, 3, 4, 5, 6, 7, 8])
    expect([...pass!.headPositions.subarray(0, 2)]).toEqual([0, 1])
    expect([...pass!.entryStart.subarray(0, 3)]).toEqual([0, 1, 3])
    expect([...pass!.entryTarget.subarray(0, 3)]).toEqual([8, 5, 9])
    expect([...pass!.entryWeight]).toEqual([3, 1, 2, 0, 0, 0, 0, 0])
  })

  test('asked for, an entry has a position of its own', () => {
    const examples = rowsAlike(9, 40)
    const options = { maxPassTokens: 4096 }
    const passes = checkExact(examples, { ...options, entryAlone: true })
    const together = planPasses(examples, options)
    for (const [i, pass] of passes.entries()) {
      expect(pass.headCount).toBe(pass.entryStart[pass.headCount])
      expect([...pass.entryStart.subarray(0, pass.headCount + 1)]).toEqual(Array.from({ length: pass.headCount + 1 }, (_, e) => e))
      expect([...new Set(pass.headPositions.subarray(0, pass.headCount))]).toEqual([
        ...together[i]!.headPositions.subarray(0, together[i]!.headCount),
      ])
    }
    expect(passes.reduce((n, { headCount }) => n + headCount, 0)).toBeGreaterThan(together.reduce((n, { headCount }) => n + headCount, 0))
  })

  test('the sequences of a packed example do not see each other and are numbered on their own', () => {
    const examples = rowsAlike(6, 12)
    const packed: Example = {
      ids: Int32Array.from(examples.flatMap((e) => [...e.ids])),
      targets: Uint8Array.from(examples.flatMap((e) => [...e.targets])),
      starts: Int32Array.from(examples.map((_, i) => examples.slice(0, i).reduce((n, e) => n + e.ids.length, 0))),
      row: 1,
      source: 'made',
    }
    const passes = checkExact([packed], { maxPassTokens: 4096 })
    const ofOne = planPasses(examples, { maxPassTokens: 4096 }).map((pass) => ({
      ...pass,
      sequences: pass.sequences.map((sequence) => ({ ...sequence, example: 0, part: sequence.example })),
    }))
    expect(passes).toEqual(ofOne)
  })
})

describe('rows of long micro-batches', () => {
  const row = (length: number, starts?: number[]): Example => ({
    ids: Int32Array.from({ length }, (_, i) => i),
    targets: new Uint8Array(length).fill(1),
    row: 1,
    source: 'made',
    ...(starts ? { starts: Int32Array.from(starts) } : {}),
  })

  test('a micro-batch is long by its longest row, a packed one by its longest sequence', () => {
    const batches = [[row(20), row(31)], [row(30)], [row(62, [0, 30, 31])], [row(90, [0, 30, 60])]]
    expect(longExamples(batches, 30)).toEqual([true, true, false, true, false])
    expect(longExamples(batches, undefined)).toBeUndefined()
  })

  test('they are marked, share among each other, and nothing with others; pads are not marked', () => {
    const examples = [row(20), row(24), row(22), row(26)]
    const options = { maxPassTokens: 128, long: [true, false, true, false] }
    const [pass, ...others] = checkExact(examples, options)
    expect(others).toEqual([])
    expect(pass!.computedTokens).toBe(22 + 26)
    expect([...pass!.long]).toEqual(Array.from(pass!.row, (r) => (r === 0 || r === 2 ? 1 : 0)))
    expect(checkExact(examples, { maxPassTokens: 128, long: [true, true, true, true] })[0]!.computedTokens).toBe(26)
    // however it is cut
    const marks = checkExact(examples, { ...options, maxPassTokens: 32 }).flatMap(({ sequences }) => sequences.map((s) => [s.row, s.long]))
    expect(Object.fromEntries(marks)).toEqual({ 0: true, 1: false, 2: true, 3: false })
  })
})

describe('the cut', () => {
  test.each([128, 200, 384, 1000])('passes of %i tokens hold every row once', (maxPassTokens) => {
    const examples = rowsAlike(7, 60)
    const passes = checkExact(examples, { maxPassTokens })
    expect(passes.length).toBeGreaterThan(1)
    expect(checkExact(examples, { maxPassTokens })).toEqual(passes)
  })

  test('rows that begin alike stay together where a pass can hold them', () => {
    const next = random(8)
    const preambles = [0, 1, 2].map((p) => Array.from({ length: 100 }, () => 10 * p + next(9)))
    const examples = Array.from({ length: 30 }, (_, i) => {
      const ids = Int32Array.from([...preambles[i % 3]!, 100 + i, 200 + i])
      return { ids, targets: new Uint8Array(102).fill(1), row: i + 1, source: 'made' }
    })
    // each group is 100 + 10 · 2 tokens
    const passes = checkExact(examples, { maxPassTokens: 128 })
    expect(passes.map((p) => p.computedTokens)).toEqual([120, 120, 120])
  })

  test('a row longer than a pass is named', () => {
    const long: Example = { ids: new Int32Array(129), targets: new Uint8Array(129), row: 17, source: 'rows.jsonl' }
    expect(() => planPasses([long], { maxPassTokens: 128 })).toThrow(/rows\.jsonl, row 17: 129 tokens/)
  })

  test('sizes: multiples of the quantum, above 4,096 of a sixteenth', () => {
    expect([1, 128, 129, 4096, 4097, 8192, 8193, 100_000].map((n) => paddedTokens(n, 128))).toEqual([
      128, 128, 256, 4096, 4352, 8192, 8704, 102_400,
    ])
    expect(paddedTokens(5, 16)).toBe(16)
  })

  test('1,000 rows of 200 tokens take well under 100 ms', () => {
    const next = random(9)
    const preambles = Array.from({ length: 20 }, () => Array.from({ length: 100 }, () => next(1000)))
    const examples = Array.from({ length: 1000 }, (_, i) => {
      const ids = Int32Array.from([...preambles[next(20)]!, ...Array.from({ length: 100 }, () => next(1000))])
      return { ids, targets: new Uint8Array(200).fill(1), row: i + 1, source: 'made' }
    })
    const times = Array.from({ length: 5 }, () => {
      const start = process.cpuUsage()
      planPasses(examples, { maxPassTokens: 16384 })
      const { user, system } = process.cpuUsage(start)
      return (user + system) / 1000
    })
    expect(Math.min(...times)).toBeLessThan(100) // the processor’s, and the best of five: the machine is shared
  })
})

describe('micro-batches that no pass may cut', () => {
  const batchOf = (examples: readonly Example[], size: number) => examples.map((_, i) => Math.floor(i / size))
  const held = (of: number[], most: number): Whole => ({ of, most, apart: true, what: 'a micro-batch', remedy: say`, so lower it` })

  test.each([1, 2, 3])('lie whole in a pass, at most %i in one, each token counted for its rows', (most) => {
    for (let seed = 1; seed < 8; seed++) {
      const examples = rowsAlike(seed, 24)
      const batches = batchOf(examples, 4)
      const passes = planPasses(examples, { maxPassTokens: 600, quantum: 16, whole: held(batches, most) })
      const places = new Map<number, Set<number>>()
      for (const [p, pass] of passes.entries())
        for (const { example } of pass.sequences) places.set(batches[example]!, (places.get(batches[example]!) ?? new Set()).add(p))
      expect([...places.values()].every((set) => set.size === 1)).toBe(true)
      for (const pass of passes) {
        expect(pass.batches).toBeLessThanOrEqual(most)
        expect(pass.tokens).toBeLessThanOrEqual(600)
        // a micro-batch's column adds up to its rows' tokens; padding has none
        const own = [...new Set(pass.sequences.map(({ batch }) => batch))]
        own.forEach((batch, g) => {
          const column = Array.from({ length: pass.tokens }, (_, t) => pass.batchRows[t * pass.batches + g]!)
          const rows = examples.filter((_, i) => batches[i] === batch)
          expect(column.reduce((a, b) => a + b)).toBe(rows.reduce((n, { ids }) => n + ids.length, 0))
          expect(column.slice(pass.computedTokens).every((n) => n === 0)).toBe(true)
        })
      }
    }
  })

  test('share beginnings across each other', () => {
    const examples = rowsAlike(3, 12)
    const whole = planPasses(examples, { maxPassTokens: 4096, quantum: 16, whole: held(batchOf(examples, 2), 6) })
    const free = planPasses(examples, { maxPassTokens: 4096, quantum: 16 })
    expect(whole.map(({ computedTokens }) => computedTokens)).toEqual(free.map(({ computedTokens }) => computedTokens))
  })

  test('are refused where they are larger than a pass', () => {
    const examples = rowsAlike(2, 8)
    expect(() => planPasses(examples, { maxPassTokens: 120, prefixSharing: false, whole: held(batchOf(examples, 8), 1) })).toThrow(
      /a micro-batch of 8 rows, \d+ tokens, does not fit a pass of 120, so lower it/,
    )
  })
})

describe('examples of two answers', () => {
  const pair = (prompt: number, answer: number, seed: number): Example => {
    const ids = (length: number, from: number) => Array.from({ length }, (_, i) => from + i)
    const whole = (from: number) => [...ids(prompt, 1000 * seed), ...ids(answer, from)]
    const both = [...whole(10), ...whole(500)]
    return {
      ids: Int32Array.from(both),
      targets: new Uint8Array(both.length).fill(1),
      starts: Int32Array.of(0, prompt + answer),
      row: seed,
      source: 'rows',
    }
  }
  const together = (count: number): Whole => ({ of: Array.from({ length: count }, (_, i) => i), what: 'an example', remedy: say`` })

  test('lie in one pass each, their prompt once', () => {
    const examples = Array.from({ length: 9 }, (_, i) => pair(20 + i, 7, i + 1))
    const passes = planPasses(examples, { maxPassTokens: 90, quantum: 1, whole: together(9) })
    expect(passes.length).toBeGreaterThan(3)
    for (const { sequences, tokens } of passes) {
      expect(tokens).toBeLessThanOrEqual(90)
      for (const { example } of sequences) expect(sequences.filter((s) => s.example === example).map(({ part }) => part)).toEqual([0, 1])
    }
    expect(passes.reduce((sum, { computedTokens }) => sum + computedTokens, 0)).toBe(examples.reduce((sum, _, i) => sum + 20 + i + 14, 0))
  })

  test('are refused where both answers fit no pass', () => {
    expect(() => planPasses([pair(20, 30, 1)], { maxPassTokens: 60, whole: together(1) })).toThrow(
      /an example of 2 rows, 100 tokens, does not fit a pass of 60/,
    )
  })
})
