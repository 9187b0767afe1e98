/** The page of `saqr data`. */
import type { Bin, Lengths } from '../data/lengths.ts'
import { grouped, significant } from '../track/numbers.ts'
import { type Style, styleOf } from '../track/style.ts'
import type { TextOutput } from '../track/tracker.ts'
import type { DataReport, ShownRow, Some } from '../train/data-report.ts'
import type { Range, StepReport, TrainingReport } from '../train/data-steps.ts'
import { legend, tokenLines, visible } from './token-lines.ts'

export function dataPage(report: DataReport, out: TextOutput): string {
  const style = styleOf(out)
  const { lengths, training, rows } = report
  const [headline, ...notes] = report.notes
  const lines = [
    style.bold(headline!),
    ...(report.trainer === 'sft' ? [] : [`  as saqr ${report.trainer} would take them (--trainer names another)`]),
    ...notes.map((note) => `  ${note}`),
    ...report.warnings.map((warning) => `  ${style.warn('warning:')} ${warning}`),
    ...(lengths
      ? [...lengthLines(report, lengths, training?.cut?.maxLength ?? null, out.columns, style)]
      : ['  token ids: a model says what they mean']),
    ...(training ? trainingLines(training) : []),
    `  duplicates: ${someOf(report.duplicates, rows)}`,
    ...named(report.duplicates, style),
    ...(lengths ? [`  rows that teach nothing: ${someOf(report.idle, rows)}`, ...named(report.idle, style)] : []),
    ...(training ? stepLines(training) : ['  name a model (--model) to see tokens, what is learned, and what a step holds']),
    '',
    ...report.examples.flatMap((row) => exampleLines(row, style, out.color === true)),
    ...(training ? [legend(style, out.color === true)] : []),
  ]
  if (lines.at(-1) === '') lines.pop()
  return `${lines.join('\n')}\n`
}

function lengthLines({ unit, counted }: DataReport, lengths: Lengths, limit: number | null, columns: number, style: Style): string[] {
  const { total, shortest, median, mean, p95, longest, histogram } = lengths
  const said = `shortest ${grouped(shortest)}, median ${grouped(median)}, mean ${grouped(mean)}, 95% up to ${grouped(p95)}, longest ${grouped(longest)}`
  const what = counted === 'row' ? `${unit} in all` : `${unit} in the longer sides of all pairs`
  return [`  ${grouped(total)} ${what}: ${said}`, ...histogramLines(histogram, limit, Math.min(columns, 100) - 34, style)]
}

function histogramLines(bins: readonly Bin[], limit: number | null, width: number, style: Style): string[] {
  const most = Math.max(...bins.map(({ rows }) => rows))
  const names = bins.map(({ from, to }) =>
    to === null ? `${grouped(from)} and more` : to === from + 1 ? grouped(from) : `${grouped(from)} to ${grouped(to - 1)}`,
  )
  const wide = Math.max(...names.map((name) => name.length))
  return bins.map(({ from, rows, longest }, i) => {
    const bar = '█'.repeat(Math.round((rows / most) * Math.max(8, width))) || (rows > 0 ? '▏' : '')
    const isCut = limit !== null && longest > limit ? (from > limit ? ' cut' : ' in part cut') : ''
    return `    ${names[i]!.padStart(wide)} ${bar}${rows > 0 ? ` ${grouped(rows)}${style.warn(isCut)}` : ''}`
  })
}

function trainingLines({ cut, tokens, targets, beside, packs }: TrainingReport): string[] {
  const lines = [`  trained on: ${grouped(tokens)} tokens an epoch, ${grouped(targets)} of them learned (${percentOf(targets / tokens)})`]
  if (beside > 0)
    lines.push(`  scored beside them: ${grouped(beside)} tokens of other rows’ answers, by which the distance from the reference is told`)
  if (cut === null) lines.push('  cut: none, rows keep their length')
  else
    lines.push(
      `  cut to --max_length ${grouped(cut.maxLength)}: ${shareOf(cut.rows, cut.of, 'rows')}${cut.rows > 0 && cut.tokens !== null ? `, which lose ${grouped(cut.tokens)} tokens` : ''}`,
    )
  if (packs) lines.push(`  packed: ${grouped(packs.packs)} packs of ${grouped(packs.length)} tokens, ${percentOf(packs.filled)} filled`)
  return lines
}

function stepLines({ sharing, tokens, beside, packs, step, evaluation }: TrainingReport): string[] {
  const all = tokens + beside
  const saved = `${grouped(sharing.tokens)} of ${grouped(all)} tokens an epoch (${percentOf(sharing.tokens / all)})`
  return [
    sharing.off === null
      ? `  beginnings that rows of a step share save ${saved}`
      : `  rows don’t share their beginnings: ${sharing.off}; it would save ${saved}`,
    ...holds(step, packs !== null),
    ...(evaluation
      ? [
          `  evaluated on: ${grouped(evaluation.rows)} rows, ${grouped(evaluation.tokens)} tokens, ${grouped(evaluation.targets)} of them targets`,
        ]
      : []),
  ]
}

function holds(
  { rows, batchSize, microBatches, tokens, targets, computed, passes, perEpoch, steps, looked }: StepReport,
  packs: boolean,
): string[] {
  const size = `${rows.median} ${packs ? 'packs' : rows.median === 1 ? 'row' : 'rows'} (${batchSize} × ${microBatches}${rows.median < batchSize * microBatches ? ', no more are there' : ''})`
  const less = computed.most < tokens.most || computed.median < tokens.median ? `, ${between(computed)} to compute` : ''
  const cut = passes ? `, in ${between(passes)} ${passes.most === 1 ? 'pass' : 'passes'}` : ''
  const of = looked < steps ? ` (the first ${looked} steps)` : ''
  return [
    `  a step holds ${size}: ${between(tokens)} tokens${less}, ${between(targets)} targets${cut}${of}`,
    `  ${grouped(perEpoch)} ${perEpoch === 1 ? 'step' : 'steps'} an epoch, ${grouped(steps)} in all`,
  ]
}

/** "1,820 to 2,344 (mostly 2,100)" */
function between({ least, median, most }: Range): string {
  return least === most ? grouped(most) : `${grouped(least)} to ${grouped(most)} (median ${grouped(median)})`
}

/** 0.0123 -> 1.23%; never all or nothing where it isn't */
function percentOf(share: number): string {
  if (share === 0 || share === 1) return `${share * 100}%`
  return share > 0.999 ? 'above 99.9%' : `${Number(significant(share * 100, 3))}%`
}

const shareOf = (n: number, all: number, what: string) => (n === 0 ? 'none' : `${grouped(n)} ${what} (${percentOf(n / all)})`)
const someOf = ({ rows }: Some, all: number) => shareOf(rows, all, 'rows')

function named({ rows, where }: Some, style: Style): string[] {
  const more = rows - where.length
  return [...where.map((one) => style.dim(`    ${one}`)), ...(more > 0 ? [style.dim(`    and ${grouped(more)} more`)] : [])]
}

/** characters of a text that are shown at its ends */
const SHOWN = 400

function exampleLines(row: ShownRow, style: Style, color: boolean): string[] {
  if ('tokens' in row) {
    const learned = row.tokens.filter(({ target }) => target).length
    const head = `${row.where}${row.part === undefined ? '' : `, ${row.part}`}: ${grouped(row.tokens.length)} tokens, ${grouped(learned)} learned`
    return [style.bold(head), ...tokenLines(row.tokens, style, color), '']
  }
  const texts = row.parts.flatMap(({ text, role, prompt }) => {
    const shown = visible(
      text.length > 2.5 * SHOWN ? `${text.slice(0, SHOWN)} … ${grouped(text.length - 2 * SHOWN)} characters … ${text.slice(-SHOWN)}` : text,
    )
    return `${role === undefined ? '' : style.bold(`${role}: `)}${prompt ? style.dim(shown) : shown}`.split('\n')
  })
  return [style.bold(row.where), ...texts, '']
}
