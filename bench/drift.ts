/**
 * A hundred steps of a small mixture of experts in bf16 beside Hugging Face's: how far losses are from its f32, in share of what its own bf16 is off at
 * its worst over three seeds (docs/design.md, section 4: at most 1.5), and the loss on held-out rows (0.5 %).
 *
 *   .venv/bin/python tools/oracle/drift.py FOLDER --kind mixtral
 *   node --import ./tools/ts.mjs bench/drift.ts FOLDER…
 */
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { json, train } from '../test/live/train.ts'

const LIMIT = 1.5

interface Theirs {
  losses: number[]
  drift: number
  cosine: number
  heldout: { after: number }
}

/** root of the mean square of what losses are off */
const rms = (losses: readonly number[], from: readonly number[]) =>
  Math.sqrt(losses.reduce((sum, loss, i) => sum + (loss - from[i]!) ** 2, 0) / losses.length)

let failed = false
for (const folder of process.argv.slice(2)) {
  const seeds = readdirSync(folder).filter((name) => name.startsWith('seed-'))
  const expected = new Map(
    seeds.map((seed) => [seed, json(join(folder, seed, 'expected.json')) as Record<'bf16.f32' | 'bf16.bf16', Theirs>]),
  )
  const worst = Math.max(...[...expected.values()].map((e) => e['bf16.bf16'].drift))
  const config = json(join(folder, 'model/config.json'))
  console.log(`${config.model_type}: transformers in bf16 at most ${worst.toFixed(4)} from its f32`)
  for (const [seed, { 'bf16.f32': f32, 'bf16.bf16': bf16 }] of expected) {
    const { log } = await train({
      folder: join(folder, seed),
      model: join(folder, 'model'),
      evalRows: join(folder, 'heldout.jsonl'),
      choice: { dtype: 'bf16' },
      args: { evalStrategy: 'steps', evalSteps: f32.losses.length, perDeviceEvalBatchSize: 48 },
    })
    const losses = log.filter((entry) => entry.loss !== undefined).map((entry) => entry.loss!)
    const drift = Math.max(...losses.map((loss, i) => Math.abs(loss - f32.losses[i]!)))
    const heldout = log.find((entry) => entry.eval_loss !== undefined)!
    // theirs is without the balance loss
    const balance = (config.router_aux_loss_coef ?? 0) * (heldout.eval_aux_loss ?? 0)
    const off = (heldout.eval_loss! - balance - f32.heldout.after) / f32.heldout.after
    const fine = losses.length === f32.losses.length && drift <= LIMIT * worst && Math.abs(off) < 0.005
    failed ||= !fine
    console.log(
      `  ${seed}: ${drift.toFixed(4)} (${(drift / worst).toFixed(2)} of its worst, its own ${bf16.drift.toFixed(4)}), rms ${rms(losses, f32.losses).toFixed(5)} (its own ${rms(bf16.losses, f32.losses).toFixed(5)}); held out ${(100 * off).toFixed(2)} %${fine ? '' : '  TOO FAR'}`,
    )
  }
}
process.exitCode = failed ? 1 : 0
