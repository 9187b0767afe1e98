#!/usr/bin/env node
/**
 * Raw output of `bench:cuda` as the README's table: rows of the cases, saqr beside the baselines. Of several rounds the median counts.
 *   node --import ./tools/ts.mjs tools/performance-table.ts bench/results/cuda.jsonl …
 */
import { readFileSync } from 'node:fs'
import { pathToFileURL } from 'node:url'
import type { BaselineResult, CaseResult } from '../bench/cuda-baseline.ts'
import { CASES, type CudaCase } from '../bench/cuda-cases.ts'

interface Header {
  at: string
  card: string
  driver: string
}
type OurLine = CaseResult & { side: 'saqr' }
type TheirLine = BaselineResult & { side: string; cases: string[] }

const names: Record<string, string> = { unsloth: 'Unsloth', hf: 'transformers + PEFT' }

const median = (values: readonly number[]) => [...values].sort((a, b) => a - b)[values.length >> 1]
const count = (n: number) => Math.round(n).toLocaleString('en')
const gib = (bytes: number) => `${(bytes / 2 ** 30).toFixed(1)} GiB`

/** @param files contents of the raw files. @throws Error where they are of different cards */
export function performanceTable(files: readonly string[]): string {
  const all = files.map((text) =>
    text
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line)),
  )
  const headers = all.map(([header]) => header as Header)
  const cards = new Set(headers.map(({ card, driver }) => `${card}, driver ${driver}`))
  if (cards.size !== 1) throw new Error(`one table is of one card and driver, not of ${[...cards].join(' and ')}`)
  const lines = all.flatMap((file) => file.slice(1))
  const ours = (c: CudaCase) => lines.filter((line): line is OurLine => line.side === 'saqr' && line.case === c.name)
  const engines = [...new Set(lines.filter((line) => line.cases).map((line) => line.side as string))]
  const theirs = (c: CudaCase, engine: string) =>
    lines.filter((line): line is TheirLine => line.side === engine && line.cases.includes(c.name))
  const there = CASES.filter((c) => ours(c).length > 0)

  const speed = (list: readonly { tokensPerSecond?: number }[]) => median(list.flatMap(({ tokensPerSecond: t }) => t ?? []))
  const memory = (list: readonly { peakBytes: number }[]) => median(list.map(({ peakBytes }) => peakBytes))!
  const cell = (list: readonly { tokensPerSecond?: number; peakBytes: number }[]) => {
    const found = speed(list)
    return found === undefined ? (list.length > 0 ? 'out of memory' : '') : `${count(found)} tok/s, ${gib(memory(list))}`
  }
  const times = (c: CudaCase, engine: string) => {
    const other = speed(theirs(c, engine))
    return other === undefined ? '' : `${(speed(ours(c))! / other).toFixed(2)}×`
  }
  const limit = (c: CudaCase) => `${Math.round(100 * median(ours(c).map(({ atTheLimit }) => atTheLimit ?? Number.NaN))!)} %`

  const sections: string[] = [`${[...cards][0]}, ${headers.map(({ at }) => at.slice(0, 10)).sort().at(-1)}`] // biome-ignore format: short
  const table = (head: readonly string[], rows: readonly (readonly string[])[]) => {
    if (rows.length > 0) sections.push([head, head.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n'))
  }
  table(
    ['', 'saqr', 'of the limit', ...engines.flatMap((engine) => [names[engine] ?? engine, ''])],
    there
      .filter((c) => !c.plain && !c.first && c.rows.kind !== 'sizes')
      .map((c) => [c.title, cell(ours(c)), limit(c), ...engines.flatMap((engine) => [cell(theirs(c, engine)), times(c, engine)])]),
  )
  const share = (own: number | undefined, plain: number | undefined) =>
    own === undefined || plain === undefined ? '' : `${Math.round((100 * own) / plain)} %`
  const plainOf = (c: CudaCase) => CASES.find(({ name }) => name === c.plain)!
  table(
    ['share of the plain row', 'saqr', ...engines.map((engine) => names[engine] ?? engine)],
    there
      .filter((c) => c.plain && ours(plainOf(c)).length > 0)
      .map((c) => [
        c.title,
        share(speed(ours(c)), speed(ours(plainOf(c)))),
        ...engines.map((engine) => share(speed(theirs(c, engine)), speed(theirs(plainOf(c), engine)))),
      ]),
  )
  const first = there.filter((c) => c.first).map((c) => [
    c.title,
    `${median(ours(c).map(({ firstStepSeconds }) => firstStepSeconds))!.toFixed(1)} s`,
    ...engines.map((engine) => {
      const seconds = median(theirs(c, engine).flatMap(({ firstStepSeconds }) => firstStepSeconds ?? []))
      return seconds === undefined ? '' : `${seconds.toFixed(1)} s`
    }),
  ]) // biome-ignore format: short
  const sizes = there
    .filter((c) => c.rows.kind === 'sizes')
    .map((c) => [
      c.title,
      `${count(1e3 * median(ours(c).flatMap(({ newSizeSeconds }) => newSizeSeconds ?? []))!)} ms`,
      ...engines.map(() => ''),
    ])
  table(['', 'saqr', ...engines.map((engine) => names[engine] ?? engine)], [...first, ...sizes])
  return sections.join('\n\n')
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href)
  console.log(performanceTable(process.argv.slice(2).map((path) => readFileSync(path, 'utf8'))))
