/** What people reported of runs sent to W&B from other trainers, tried here by the number of the report. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { recordsOf } from '../../src/track/wandb/log.ts'
import { read } from '../../src/track/wandb/records.ts'
import { wandbSettings } from '../../src/track/wandb/settings.ts'
import { wandb } from '../../src/track/wandb/wandb.ts'
import { endOf, evalOf, logOf, startOf } from './start.ts'
import { eventsOf, go, logged } from './wandb-run.ts'

let folder = ''
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'saqr-wandb-reports-'))
})
afterAll(() => rmSync(folder, { recursive: true }))
const offline = () => wandb({ settings: wandbSettings({ WANDB_MODE: 'offline' }), name: 'falcon' })

it('wandb 4482, 5632, ms-swift 7080: steps that a resumed run does again are lines of their own, none is dropped', async () => {
  const out = join(folder, 'again')
  await go(offline(), eventsOf(out, 0, 7, false))
  await go(offline(), eventsOf(out, 4, 8))
  const { history } = logged(out)
  // wandb drops what has no greater _step than the line before it: it counts lines, train/global_step says where the run is
  expect(history.map((line) => line._step)).toEqual(history.map((_, i) => i))
  const steps = history.flatMap((line) => ('train/loss' in line ? [line['train/global_step']] : []))
  expect(steps).toEqual([1, 2, 3, 4, 5, 6, 7, 5, 6, 7, 8])
})

it('wandb 5913: several evaluations behind one step and the log of that step are each a line', async () => {
  const out = join(folder, 'several')
  await go(offline(), [startOf(out), logOf(3, 1), evalOf(3, 2), evalOf(3, 4), logOf(4, 0.5), endOf(4, { finished: true })])
  const { history } = logged(out)
  expect(history.map((line) => [line._step, line['train/global_step'], line['train/loss'] ?? line['eval/loss']]).slice(0, 4)).toEqual([
    [0, 3, 1],
    [1, 3, 2],
    [2, 3, 4],
    [3, 4, 0.5],
  ])
})

it('wandb 7227: what a run that is offline said last is its summary, as it is in the file', async () => {
  const out = join(folder, 'summary')
  await go(offline(), eventsOf(out, 0, 10))
  const { history, path } = logged(out)
  const records = recordsOf(readFileSync(path))!.map(({ content }) => ({ content, kind: read(content).kind }))
  const behind = records.flatMap(({ kind }, i) => (kind === 'history' ? [Buffer.from(records[i + 1]!.content).toString('latin1')] : []))
  // each line, the last too, has its summary right behind it, of the same names
  for (const [i, line] of history.entries()) for (const name of Object.keys(line)) expect(behind[i]).toContain(name)
  expect(Object.assign({}, ...history)).toMatchObject({ 'train/loss': 0.2, 'eval/loss': 0.3, 'train/global_step': 10 })
})
