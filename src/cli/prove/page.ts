/** A proof as one HTML page: no script, nothing fetched, light or dark as its reader has it. */
import { bytes, duration, grouped, seconds, significant } from '../../track/numbers.ts'
import { escaped } from '../../track/svg.ts'
import { chart } from './chart.ts'
import type { Proof, SideFigures } from './compare.ts'
import type { Check, GradientPair, Measures } from './measure.ts'
import type { MovePair } from './moves.ts'
import type { Memory } from './recorded.ts'
import { COUNTED } from './tolerances.ts'

/** tensors shown before the rest is folded away */
const SHOWN = 8

export function proofPage(proof: Proof): string {
  const { passed, config, steps, changed, versions, trl, saqr } = proof
  const title = `${passed ? 'Parity holds' : 'Parity fails'}: ${config.path}`
  return [
    '<!doctype html>',
    `<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">`,
    `<meta name="color-scheme" content="light dark"><title>${escaped(title)}</title><style>${STYLE}</style></head><body><main>`,
    `<p class="over">saqr prove</p>`,
    `<h1><span class="${passed ? 'good' : 'bad'}">${passed ? '✓' : '✗'}</span> ${escaped(title)}</h1>`,
    `<p>${steps} steps of <code>${escaped(proof.theirs)}</code> ${escaped(versions.trl ?? '')} beside ${steps} of saqr ${escaped(versions.saqr ?? '')}, in ${proof.arithmetic}: the same configuration, rows, order and first values. ${escaped(proof.made)}</p>`,
    `<ul class="checks">${proof.checks.map((check) => checkLine(check, proof)).join('')}</ul>`,
    section('Speed and memory', figuresTable(proof)),
    ...measured(proof, steps, ''),
    ...(proof.f32 === null ? [] : measured(proof.f32, steps, ' in f32')),
    section('How it was made', ...how(proof)),
    section(
      'Versions',
      table(
        ['what', 'version'],
        Object.entries(versions).map(([name, v]) => [name, v ?? 'not there']),
      ),
    ),
    section('Configuration', `<pre>${escaped(config.text)}</pre>`),
    '</main></body></html>',
    '',
  ].join('\n')

  function how({ totalSteps, timed, theirs }: Proof): string[] {
    const changes = changed.map(({ name, before, now, why }) => `<li><code>${escaped(name)}</code> is ${escaped(String(now))} instead of ${escaped(String(before))} on both sides: ${escaped(why)}</li>`) // biome-ignore format: short
    return [
      `<p><code>${escaped(theirs)}</code> ran first and was ended after ${steps} of ${grouped(totalSteps.trl)} steps; saqr then ran the same file from the adapter (or the weights) that TRL began with, and was ended after as many of ${grouped(totalSteps.saqr)}: the schedule of the learning rate is that of the whole run. Neither evaluated, saved checkpoints or reported to anything; nothing else was changed${changes.length > 0 ? ' but:' : '.'}</p>`,
      changes.length > 0 ? `<ul>${changes.join('')}</ul>` : '',
      proof.rounded === null ? '' : `<p>TRL stores trained weights in ${proof.rounded}, which rounds each step: half of a last bit in each of ${steps} steps, as a random walk, is allowed beside.</p>`, // biome-ignore format: one sentence
      ...proof.inF32.map((said) => `<p>${escaped(said)}</p>`),
      `<p>Speed is of steps ${timed.from} to ${timed.to}; before those, gradients were written down and kernels warmed up. Tokens are those of the rows, without padding. The whole run is the steps alone at that speed. Memory of the host is the most that the process ever had resident.</p>`,
      `<h3>TRL’s side</h3><pre>${escaped(commandLine(trl.command))}</pre>`,
      `<h3>saqr’s side</h3><pre>${escaped(commandLine(saqr.command))}</pre>`,
    ]
  }
}

/** @param where what stands behind each heading */
function measured(m: Measures, steps: number, where: string): string[] {
  const { losses, gradients, tolerances } = m
  return [
    section(
      `Losses${where}`,
      curve('Loss by step, TRL and saqr', [
        { name: 'TRL', kind: 'trl', points: losses.map(({ step, trl }) => ({ x: step, y: trl })) },
        { name: 'saqr', kind: 'saqr', points: losses.map(({ step, saqr }) => ({ x: step, y: saqr })) },
      ]),
      '<h3>How far apart</h3>',
      curve(
        'Difference of both losses by step, and what is allowed',
        [
          { name: 'apart', kind: 'apart', points: losses.map(({ step, difference }) => ({ x: step, y: difference })) },
          { name: 'allowed', kind: 'limit', points: losses.map(({ step, allowed }) => ({ x: step, y: allowed })) },
        ],
        true,
      ),
      `<p>Allowed in step k: ${significant(tolerances.loss.value, 2)} · √k of the loss (at least of 1): ${escaped(tolerances.loss.why)}.</p>`,
      folded(
        'Every step',
        table(
          ['step', 'TRL', 'saqr', 'apart', 'allowed'],
          losses.map((l) => [String(l.step), l.trl.toFixed(6), l.saqr.toFixed(6), small(l.difference), small(l.allowed)]),
        ),
      ),
    ),
    section(
      `Gradients${where}`,
      `<p>‖saqr − TRL‖ / ‖TRL‖ of each tensor before clipping, in the first step in which it isn’t 0; those nearest to their limit first.</p>`,
      gradientTable(gradients.slice(0, SHOWN)),
      gradients.length > SHOWN ? folded(`All ${gradients.length}`, gradientTable(gradients)) : '',
      `<p>All of the first step as one vector: ${small(m.wholeGradient)}; allowed are ${small(tolerances.whole.value)}, as ${escaped(tolerances.whole.why)}.</p>`,
      `<p>Allowed of one tensor in the first step: ${small(tolerances.gradient.value)}, ${escaped(tolerances.gradient.why)}.</p>`,
      tolerances.length === null
        ? ''
        : `<p>Their length: ${small(Math.abs(m.lengthRatio - 1))} apart; allowed are ${small(tolerances.length.value)}: ${escaped(tolerances.length.why)}.</p>`,
      `<p>Allowed later: ${small(tolerances.later.value)}: ${escaped(tolerances.later.why)}.</p>`,
    ),
    section(`Weights after the last step${where}`, ...weights(m, steps)),
  ]
}

/** a check in a line, with its arithmetic where two were looked at */
export const told = ({ said, arithmetic }: Check, { f32 }: Pick<Proof, 'f32'>): string =>
  f32 === null || arithmetic === null ? said : `in ${arithmetic}: ${said}`
const checkLine = (check: Check, proof: Proof) =>
  `<li><span class="${check.passed ? 'good' : 'bad'}">${check.passed ? '✓' : '✗'}</span> ${escaped(told(check, proof))}</li>`
const curve = (...args: Parameters<typeof chart>) => `<div class="wide">${chart(...args)}</div>`
const section = (title: string, ...parts: string[]) => `<section><h2>${title}</h2>\n${parts.join('\n')}\n</section>`
const folded = (title: string, inside: string) => `<details><summary>${title}</summary>${inside}</details>`
export const rate = (n: number) => (n >= 1000 ? grouped(n) : significant(n, 3))
const small = (n: number) => n.toExponential(1)
const quoted = (word: string) => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`)
export const commandLine = (command: readonly string[]) => command.map(quoted).join(' ')

/** The first column is text, the others are numbers. */
function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const cells = (tag: string, row: readonly string[]) => `<tr>${row.map((cell) => `<${tag}>${escaped(cell)}</${tag}>`).join('')}</tr>`
  return `<div class="wide"><table><thead>${cells('th', head)}</thead><tbody>${rows.map((row) => cells('td', row)).join('\n')}</tbody></table></div>`
}

function gradientTable(pairs: readonly GradientPair[]): string {
  return table(
    ['tensor', 'step', '‖TRL‖', 'apart', 'allowed'],
    pairs.map(({ name, step, norm, difference, allowed }) => [name, String(step), significant(norm, 3), difference === null ? 'one side has none' : small(difference), small(allowed)]), // biome-ignore format: short
  )
}

function moveTable(pairs: readonly MovePair[]): string {
  return table(
    ['tensor', '‖way in TRL‖', 'apart', 'allowed'],
    pairs.map(({ name, moved, difference, allowed }) => [name, significant(moved, 3), difference === null ? 'one side alone moves' : small(difference), small(allowed)]), // biome-ignore format: short
  )
}

function weights({ moves, wholeMove, wholeMoveAllowed, moveRatio, moveRatioAllowed, tolerances }: Measures, steps: number): string[] {
  return [
    `<p>The way of each tensor: what it is after step ${steps} less what both sides began with, ‖saqr’s way − TRL’s way‖ / ‖TRL’s way‖; those nearest to their limit first.</p>`,
    moveTable(moves.slice(0, SHOWN)),
    moves.length > SHOWN ? folded(`All ${moves.length}`, moveTable(moves)) : '',
    `<p>All as one vector: ${small(wholeMove)}; allowed are ${small(wholeMoveAllowed)}. ${escaped(tolerances.move.why)}. Of one tensor the same of its own gradient where that is further apart; ${COUNTED}.</p>`,
    `<p>Length of the whole way: ${small(Math.abs(moveRatio - 1))} apart; allowed are ${small(moveRatioAllowed)}: ${escaped(tolerances.moveLength.why)}.</p>`,
  ]
}

function figuresTable({ trl, saqr }: Proof): string {
  const times = (ours: number, theirs: number) => `${significant(ours / theirs, 3)}×`
  const row = (what: string, of: (side: SideFigures) => number, shown: (n: number) => string, ratio: string) => [what, shown(of(trl)), shown(of(saqr)), ratio] // biome-ignore format: short
  const speed = times(saqr.tokensPerSecond, trl.tokensPerSecond)
  const rows = [
    row('tokens a second', (side) => side.tokensPerSecond, rate, speed), // biome-ignore format: short
    row('a step', (side) => side.secondsPerStep, seconds, ''),
    row('the whole run, about', (side) => side.fullRunSeconds, duration, ''),
    ...memoryRows(trl.memory, saqr.memory),
    ['computed on', trl.device, saqr.device, ''],
  ]
  return table(['', 'TRL', 'saqr', 'saqr / TRL'], rows)
}

function memoryRows(trl: Memory, saqr: Memory): string[][] {
  const rows: string[][] = []
  const share = (ours: number, theirs: number) => `${Math.round((100 * ours) / theirs)} %`
  if (trl.card && saqr.card) {
    const by = trl.card.by === saqr.card.by ? trl.card.by : `${trl.card.by}; ${saqr.card.by}`
    rows.push([`memory of the card at most (${by})`, bytes(trl.card.bytes), bytes(saqr.card.bytes), share(saqr.card.bytes, trl.card.bytes)])
  }
  if (trl.host !== null && saqr.host !== null)
    rows.push(['memory of the process at most', bytes(trl.host), bytes(saqr.host), share(saqr.host, trl.host)])
  return rows
}

const STYLE = [
  ':root{--paper:#fff;--ink:#1f2328;--soft:#59636e;--line:#d1d9e0;--tint:#f6f8fa;--saqr:#0969da;--trl:#bc4c00;--good:#1a7f37;--bad:#cf222e}',
  '@media(prefers-color-scheme:dark){:root{--paper:#0d1117;--ink:#f0f6fc;--soft:#9198a1;--line:#3d444d;--tint:#151b23;--saqr:#4493f8;--trl:#f0883e;--good:#3fb950;--bad:#f85149}}',
  'body{margin:0;background:var(--paper);color:var(--ink);font:16px/1.5 system-ui,sans-serif}main{max-width:760px;margin:0 auto;padding:32px 20px 64px}',
  'h1{font-size:26px;line-height:1.25;margin:0 0 12px;overflow-wrap:anywhere}h2{font-size:19px;margin:40px 0 12px;border-bottom:1px solid var(--line);padding-bottom:6px}h3{font-size:15px;margin:20px 0 6px}',
  '.over{margin:0;color:var(--soft);letter-spacing:.06em}.good{color:var(--good)}.bad{color:var(--bad)}.checks{list-style:none;padding:14px 18px;background:var(--tint);border-radius:8px;overflow-wrap:anywhere}.checks li{margin:4px 0;padding-left:1.5em;text-indent:-1.5em}',
  'table{border-collapse:collapse;width:100%;font-size:14px;font-variant-numeric:tabular-nums}th{color:var(--soft);font-weight:600}th,td{padding:5px 8px;border-bottom:1px solid var(--line);text-align:right;vertical-align:top}th,td{white-space:nowrap}th:first-child,td:first-child{text-align:left;padding-left:0;white-space:normal;overflow-wrap:anywhere;min-width:9em}th:last-child,td:last-child{padding-right:0}',
  '.wide{overflow-x:auto}pre{background:var(--tint);padding:12px 14px;border-radius:8px;font-size:13px;white-space:pre-wrap;overflow-wrap:anywhere}code{font-size:.92em}details{margin:12px 0}summary{cursor:pointer;color:var(--saqr)}',
  'svg{width:100%;min-width:520px;height:auto;display:block}svg text{font:12px system-ui,sans-serif;fill:var(--soft)}.end{text-anchor:end}.mid{text-anchor:middle}.grid{stroke:var(--line)}polyline{fill:none;stroke-linejoin:round}',
  '.trl{stroke:var(--trl);stroke-width:6;opacity:.45}.saqr,.apart{stroke:var(--saqr);stroke-width:2}.limit{stroke:var(--bad);stroke-width:1.5;stroke-dasharray:5 4}',
].join('')
