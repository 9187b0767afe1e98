import { describe, expect, it } from 'vitest'
import { range, smoothed, ticks } from '../../src/track/curve.ts'
import { plot } from '../../src/track/plot.ts'
import { lossCurveSvg } from '../../src/track/svg.ts'

const line = Array.from({ length: 21 }, (_, x) => ({ x, y: 20 - x }))

describe('curve', () => {
  it('has round ticks that cover its range', () => {
    expect(ticks({ from: 0, to: 1 }, 5)).toEqual([0, 0.2, 0.4, 0.6, 0.8, 1])
    expect(ticks({ from: 3, to: 61 }, 8)).toEqual([10, 20, 30, 40, 50, 60])
    expect(range([3])).toEqual({ from: 2.5, to: 3.5 })
  })

  it('is smoothed without a lag, its ends where they were', () => {
    // a straight line is its own mean
    for (const [i, { y }] of smoothed(line, 3).entries()) expect(y).toBeCloseTo(line[i]!.y, 10)
    const zigzag = [0, 2, 0, 2, 0].map((y, x) => ({ x, y }))
    expect(smoothed(zigzag, 1).map((p) => p.y)).toEqual([0, 2 / 3, 4 / 3, 2 / 3, 0])
    expect(smoothed([], 3)).toEqual([])
  })
})

describe('plot', () => {
  it('draws a falling line as a diagonal of dots', () => {
    const lines = plot(line, { width: 26, height: 4 })
    // 20 columns of 2 dots, 4 rows of 4: the line falls by 4 dots in 10
    expect(lines).toHaveLength(6)
    const dots = lines.slice(0, 4).map((text) => text.slice(text.indexOf('┤') + 1))
    expect(dots.map((row) => row.length)).toEqual([20, 20, 20, 20])
    // rounding to dots moves the crossing of a row by at most one of them
    expect(dots.map((row) => [...row].findIndex((c) => c !== '⠀'))).toEqual([0, 4, 9, 15])
    expect(lines[0]).toMatch(/^ *20\.0 ┤/)
    expect(lines[3]).toMatch(/^ *0 ┤/)
    expect(lines[5]).toMatch(/^ +0 +20$/)
  })

  it('bears one point, equal points, none, and points that are not finite', () => {
    expect(plot([])).toEqual([])
    expect(plot([{ x: 1, y: Number.NaN }])).toEqual([])
    expect(plot([{ x: 1, y: 2 }], { height: 3 }).join('')).toMatch(/[⠁-⣿]/)
    expect(plot([...line, { x: 21, y: Number.POSITIVE_INFINITY }], { width: 26, height: 4 })).toEqual(plot(line, { width: 26, height: 4 }))
  })
})

describe('svg', () => {
  it('holds raw losses, their mean and evaluations inside the frame', () => {
    const svg = lossCurveSvg({ title: 'a < b & "c"', train: line, evaluation: [{ x: 10, y: 12 }] })
    expect(svg).toContain('a &#60; b &#38; &#34;c&#34;')
    const points = [...svg.matchAll(/points="([^"]*)"/g)].map((m) => m[1]!.split(' ').map((p) => p.split(',').map(Number)))
    expect(points.map((p) => p.length)).toEqual([21, 21])
    for (const [x, y] of points.flat()) {
      expect(x).toBeGreaterThanOrEqual(64)
      expect(x).toBeLessThanOrEqual(700)
      expect(y).toBeGreaterThanOrEqual(48)
      expect(y).toBeLessThanOrEqual(356)
    }
    expect(svg.match(/<circle/g)).toHaveLength(1)
    // every tag is closed
    expect(svg.match(/<(svg|style|text)\b/g)!.length).toBe(svg.match(/<\/(svg|style|text)>/g)!.length)
  })

  it('bears no points', () => {
    expect(lossCurveSvg({ title: 't', train: [] })).toContain('points=""')
  })
})
