/** Plans of passes to come are made while the device computes: none is left on it by a runner that was disposed of meanwhile. */
import { join } from 'node:path'
import { expect, it } from 'vitest'
import type { Pass } from '../../src/data/passes.ts'
import type { LoadedPlan } from '../../src/devices/device.ts'
import { ReferenceDevice } from '../../src/devices/reference/device.ts'
import { LanguageModel } from '../../src/engine/language-model.ts'
import { OpenedModel } from '../../src/engine/opened-model.ts'
import { PassRunner } from '../../src/engine/runner.ts'
import type { Plan } from '../../src/graph/plan.ts'
import { openCheckpoint } from '../../src/models/checkpoint.ts'
import { sft } from '../../src/train/objectives/sft.ts'

class Preparing extends ReferenceDevice {
  loaded = 0
  meanwhile = () => {}

  override load(plan: Plan): LoadedPlan {
    this.loaded++
    return super.load(plan)
  }

  async prepare(): Promise<void> {
    this.meanwhile()
  }
}

it('a runner that is disposed of while a plan is prepared makes no further one', async () => {
  const device = new Preparing()
  const checkpoint = openCheckpoint(join(import.meta.dirname, '../fixtures/families/llama-mha/model'))
  const choice = { dtype: 'f32', loadIn4bit: false, doubleQuant: false } as const
  const { opened, spec } = new LanguageModel(new OpenedModel(device, checkpoint, choice), { kind: 'none' }, 0)
  const runner = new PassRunner(device, {
    model: opened.model,
    adapter: opened.adapter(spec, false),
    activation: 'f32',
    layout: { scope: '', size: 0, entries: new Map() },
    score: sft.score,
    gradients: false,
  })
  const passes = [16, 32, 48].map((tokens) => ({ tokens }) as Pass)
  await runner.prepareAhead(passes.slice(0, 2))
  expect([device.loaded, runner.plans.length]).toEqual([2, 2])
  device.meanwhile = () => runner.dispose()
  await runner.prepareAhead([...passes.slice(2), { tokens: 64 } as Pass])
  expect([device.loaded, runner.plans.length]).toEqual([3, 0])
  device.dispose()
})
