/** What tokens are drawn from, and how: transformers' distribution, the same draws for a seed, texts that end at stop strings. */
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { SeededRandom } from '../../src/engine/random.ts'
import { Sampler } from '../../src/generate/sample.ts'
import { shaped } from '../../src/generate/shape.ts'
import { StopStrings } from '../../src/generate/stop-strings.ts'
import { off, samplingCases } from './sampling.ts'

describe('the distribution', () => {
  // f32 logits over a temperature and a penalty are rounded twice, 1e-7 of logits of up to 30
  it.each(samplingCases(join(import.meta.dirname, '../fixtures/sampling')))('transformers’ for $given', (one) => {
    expect(off(one)).toBeLessThan(1e-6)
  })

  it('of equal logits at the edge of top-p the lowest ids stay', () => {
    expect(Array.from(shaped(new Float32Array(40), { topP: 0.5 }).ids)).toEqual(Array.from({ length: 20 }, (_, id) => id))
  })

  it('of a large vocabulary is what sorting all of it gives', () => {
    const random = new SeededRandom(3, 'test')
    for (const spread of [0.01, 1, 8]) {
      const logits = Float32Array.from({ length: 5000 }, () => random.normal() * spread)
      const order = Array.from(logits.keys()).sort((a, b) => logits[b]! - logits[a]! || a - b)
      for (const topK of [1, 7, 400]) expect(Array.from(shaped(logits, { topK }).ids)).toEqual(order.slice(0, topK).sort((a, b) => a - b))
      const total = logits.reduce((sum, x) => sum + Math.exp(x), 0)
      for (const topP of [0.01, 0.5, 0.9, 0.99999]) {
        let kept = 0
        for (let held = 0; held < topP * total; kept++) held += Math.exp(logits[order[kept]!]!)
        expect(Array.from(shaped(logits, { topP }).ids)).toEqual(order.slice(0, kept).sort((a, b) => a - b))
      }
    }
  })
})

describe('draws', () => {
  const logits = Float32Array.of(1, 2, 0.5, -3)
  const drawn = (seed: number, count: number, o = {}) => {
    const sampler = new Sampler([], { temperature: 1, seed, ...o })
    return Array.from({ length: count }, () => sampler.next(logits).id)
  }

  it('are those of their seed', () => {
    expect(drawn(4, 50)).toEqual(drawn(4, 50))
    expect(drawn(4, 50)).not.toEqual(drawn(5, 50))
  })

  it('of equal prompts in a list are apart, and the first is as it is alone', () => {
    const at = (index: number) => {
      const sampler = new Sampler([], { temperature: 1, seed: 4 }, index)
      return Array.from({ length: 50 }, () => sampler.next(logits).id)
    }
    expect(at(0)).toEqual(drawn(4, 50))
    expect(at(1)).toEqual(at(1))
    expect(new Set([at(0), at(1), at(2)].map(String)).size).toBe(3)
  })

  it('come as often as they are likely', () => {
    const counts = [0, 0, 0, 0]
    for (const id of drawn(1, 20000)) counts[id]!++
    const total = logits.reduce((sum, x) => sum + Math.exp(x), 0)
    // five standard deviations of a share of 20,000 draws
    for (const [i, n] of counts.entries())
      expect(Math.abs(n / 20000 - Math.exp(logits[i]!) / total)).toBeLessThan(5 * Math.sqrt(0.25 / 20000))
  })

  it('are penalised by what came: each token once', () => {
    expect(new Set(drawn(1, 4, { temperature: 0, presencePenalty: 100 })).size).toBe(4)
  })

  it('say how likely the model held them, and which it held likelier', () => {
    const { id, logprob, top } = new Sampler([1], { logprobs: true, topLogprobs: 3, repetitionPenalty: 100 }).next(logits)
    const total = Math.log(logits.reduce((sum, x) => sum + Math.exp(x), 0))
    expect(id).toBe(0) // 1 is penalised, which its probability does not know
    expect(logprob).toBeCloseTo(1 - total, 6)
    expect(top.map((one) => one.id)).toEqual([1, 0, 2])
    expect(top[0]!.logprob).toBeCloseTo(2 - total, 6)
  })

  it('of logits that are no numbers are refused', () => {
    const { NaN: none, POSITIVE_INFINITY: most, NEGATIVE_INFINITY: never } = Number
    for (const wrong of [
      [1, none],
      [1, most],
      [none, 1],
      [never, never],
    ])
      expect(() => new Sampler([], {}).next(Float32Array.from(wrong))).toThrow(expect.objectContaining({ code: 'MODEL_NOT_FINITE' }))
    const { id, logprob } = new Sampler([], { temperature: 1, logprobs: true }).next(Float32Array.of(never, 1, never))
    expect([id, logprob]).toEqual([1, 0])
  })
})

describe('stop strings', () => {
  const cut = (strings: string[], pieces: string[]) => {
    const stops = new StopStrings(strings)
    let text = ''
    for (const piece of pieces) {
      const now = stops.push(piece)
      text += now.text
      if (now.stopped) return `${text}|`
    }
    return text + stops.end()
  }

  it('end a text wherever tokens end', () => {
    for (let at = 0; at <= 8; at++) expect(cut(['\n\nQ'], ['ab\n\nQ: cd'.slice(0, at), 'ab\n\nQ: cd'.slice(at)])).toBe('ab|')
    expect(cut(['abab'], [...'xaababab'])).toBe('xa|')
  })

  it('the first in the text counts, whichever it is', () => {
    expect(cut(['three', 'two'], ['one two three'])).toBe('one |')
  })

  it('what only began is given out', () => {
    expect(cut(['END.'], ['the EN', 'D', 'ing', ' E'])).toBe('the ENDing E')
    expect(cut(['</s>'], [...'a < b </ s'])).toBe('a < b </ s')
  })

  it('nothing of one is ever given out', () => {
    const stops = new StopStrings(['STOP'])
    expect(stops.push('a S')).toEqual({ text: 'a ', stopped: false })
    expect(stops.push('TO')).toEqual({ text: '', stopped: false })
    expect(stops.push('P b')).toEqual({ text: '', stopped: true })
  })
})
