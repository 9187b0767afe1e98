/** The page of `saqr plan`. */
import { memoryTable } from '../track/memory-table.ts'
import { grouped, percent, seconds, short, significant } from '../track/numbers.ts'
import type { PlanReport } from '../train/plan-report.ts'

export function planPage(report: PlanReport): string {
  const { step, flops, parameters } = report
  const work = (name: string, n: number, more = '') => `  ${name.padEnd(10)}${`${short(n)}FLOP`.padStart(12)}${more}`
  return `${[
    `${report.model}: ${report.family}, ${report.layers} layers, ${short(parameters.all)} parameters, ${short(parameters.trained)} trained, in ${report.precision}`,
    `${report.device}`,
    `a step: ${step.rows} rows of ${grouped(step.rowTokens)} tokens in ${step.passes} ${step.passes === 1 ? 'pass' : 'passes'} of at most ${grouped(step.passTokens)}, the head in chunks of ${step.headChunk}`,
    `time: about ${seconds(report.seconds)} a step, ${report.tokensPerSecond < 100 ? significant(report.tokensPerSecond, 2) : grouped(report.tokensPerSecond)} tok/s`,
    ...memoryTable(report.memory),
    '  work of a step',
    ...flops.segments.map(({ name, flops: n, recomputed }) =>
      work(name, n, recomputed > 0 ? `, ${short(recomputed)}FLOP (${percent(recomputed / flops.total)} of all) recomputed` : ''),
    ),
    `  ${significant(flops.total / (step.rows * step.rowTokens) / 1e9, 3)} GFLOP a token`,
    `plan ${report.hash}`,
  ].join('\n')}\n`
}
