/** A draw, proven with TRL: what came of it. */
import { execFileSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Proof } from '../../src/cli/prove/compare.ts'
import { prove } from '../../src/cli/verbs/prove.ts'
import { commandLine } from '../../test/cli/saqr.ts'
import { Draw, drawn } from './draw.ts'

export interface Found {
  number: number
  /** `refused`: one of both sides doesn't run it, which is no difference */
  verdict: 'holds' | 'fails' | 'refused'
  kind: string
  model: string
  /** checks that failed */
  failed?: string[]
  /** of what is refused, the last line */
  told?: string
  /** of TRL, by its names */
  options: Readonly<Record<string, unknown>>
}

const root = join(import.meta.dirname, '../..')
const fixture = join(root, 'test/fixtures/training/linear-warmup')

/**
 * @param work a folder that models and runs go into
 * @param python that has loaded TRL (test/live/warm.ts)
 * @param half models of bf16, computed so or over 4 bits; else f32
 */
export function prover(work: string, python: string, half: boolean): (number: number) => Promise<Found> {
  const models = join(work, half ? 'half' : 'single')
  const script = join(root, 'tools/oracle/draw_models.py')
  execFileSync(python, [script, models, join(fixture, 'model'), ...(half ? ['--half'] : [])], { stdio: ['ignore', 'ignore', 'inherit'] })
  const lines = readFileSync(join(fixture, 'train.jsonl'), 'utf8').trimEnd().split('\n')
  const from = { models: readdirSync(models).sort(), texts: lines.map((line) => (JSON.parse(line) as { text: string }).text), half }
  const saqr = commandLine({ prove })

  return async (number) => {
    const { kind, model, rows, template, options } = drawn(new Draw(number), from)
    const folder = join(work, `${half ? 'half' : 'single'}-${number}`)
    const at = (name: string) => join(folder, name)
    mkdirSync(at('rows'), { recursive: true })
    cpSync(join(models, model), at('model'), { recursive: true })
    const config = at('model/tokenizer_config.json')
    writeFileSync(config, JSON.stringify({ ...JSON.parse(readFileSync(config, 'utf8')), chat_template: template }))
    writeFileSync(at('rows/train.jsonl'), rows.map((row) => `${JSON.stringify(row)}\n`).join(''))
    const places = { model_name_or_path: at('model'), dataset_name: at('rows'), output_dir: at('theirs') }
    const yaml = Object.entries({ ...places, eval_strategy: 'no', ...options }).map(
      ([name, value]) => `${name}: ${JSON.stringify(value)}\n`,
    )
    writeFileSync(at('run.yaml'), yaml.join(''))
    const args = ['--device', 'cpu', '--threads', '1', '--python', python, '--out', at('proof'), '--steps', '6']
    const { err } = await saqr('prove', kind, at('run.yaml'), ...args)
    const file = at('proof/proof.json')
    const proof = existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as Proof) : null
    rmSync(folder, { recursive: true })
    if (proof?.passed) return { number, verdict: 'holds', kind, model, options }
    const failed = proof?.checks.flatMap(({ passed, name, said }) => (passed ? [] : [`${name}: ${said}`]))
    if (failed) return { number, verdict: 'fails', kind, model, failed, options }
    // paths are this run's own
    const told = err.replaceAll(`${folder}/`, '').trim().split('\n').at(-1)!.slice(0, 300)
    return { number, verdict: 'refused', kind, model, told, options }
  }
}
