/**
 * docs/families.md: the families there are, from the registry, and what each has been held against, from the folders of tests.
 * test/cli/docs.test.ts holds the page against them;
 *   npx vitest run test/cli/docs.test.ts -u
 * writes it anew.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { chooseAdapter } from '../src/adapters/choose.ts'
import { nativeLibrary } from '../src/devices/cpu/library.ts'
import { settledSpec } from '../src/engine/adapter-modules.ts'
import { parametersOf } from '../src/engine/settle.ts'
import { loraConfig } from '../src/formats/peft/config.ts'
import { layoutParameters } from '../src/graph/layout.ts'
import { optimizerPlan } from '../src/graph/optimizer.ts'
import { inspect, tracePass } from '../src/graph/training.ts'
import type { Family, Model } from '../src/models/family.ts'
import { families, openConfig } from '../src/models/registry.ts'
import { cudaOps } from '../src/ops/generated/cuda.ts'
import { sft } from '../src/train/objectives/sft.ts'

const root = join(import.meta.dirname, '..')
const fixtures = join(root, 'test/fixtures')

interface Case {
  name: string
  config: Record<string, unknown>
}

const INTRO = `# Families

A model is trained where its config.json's \`model_type\` has a family here; whatever a family doesn't do is refused by name when the model is
opened. \`saqr plan\` says memory and time of a run from a config.json alone; those of many models are in
[examples/configs](../examples/configs).

A family runs on a device that has a kernel for every op of its training step. Default targets are those of \`FastLanguageModel.getPeftModel\`
(\`saqr sft\` takes PEFT's, q_proj and v_proj); names of a mixture's linears and of its router mean the tensors that
the last column has, all experts of a layer in each. This page is made from the
registry and the folders of tests ([tools/families-page.ts](../tools/families-page.ts)).
`

const HELD = `
## Held against

Every case is a tiny seeded model; the [oracles' page](../tools/oracle/README.md) says what is recorded. In
[families](../test/fixtures/families), logits, loss, every gradient and 32 greedily chosen tokens are compared with transformers and PEFT in f32;
in [training](../test/fixtures/training), thirty steps with TRL's, their log and the weights at the end; in
[gguf-families](../test/fixtures/gguf-families), configuration and tensors of a GGUF file with what transformers reads. Live tests ask Python as it
is installed, with other seeds.
`

export function familiesPage(): string {
  const [gradients, training, gguf] = [casesOf('families'), casesOf('training'), ggufCases()]
  const of = (cases: readonly Case[], { modelType }: Family) => cases.filter(({ config }) => config.model_type === modelType)
  const { native } = nativeLibrary()
  const first = families.map((family) => {
    const models = of(gradients, family).map(({ config }) => openConfig(config))
    const ops = new Set(models.flatMap(opsOf))
    const { name, file } = sourceOf(family)
    return row(
      `[${name}](../src/models/${file})`,
      `\`${family.modelType}\``,
      `\`${family.architecture}\``,
      runsOn([...ops], (op) => (native.kernel(op) as number) >= 0),
      runsOn([...ops], (op) => Object.hasOwn(cudaOps, op)),
      family.gguf ? `\`${family.gguf.architecture}\`` : 'no',
      joined(models.flatMap(({ linears }) => linears)),
      joined(models.flatMap(({ experts }) => Object.values(experts?.parameters ?? {}))) || named(models),
    )
  })
  const second = families.map((family) => {
    const cases = [of(gradients, family), of(training, family), of(gguf, family)]
    return row(`\`${family.modelType}\``, ...cases.map((list) => joined(list.map(({ name }) => name)) || 'none'), liveOf(family, cases))
  })
  return [
    INTRO,
    row('family', '`model_type`', 'class in transformers', 'CPU', 'CUDA', 'GGUF', 'LoRA targets by default', 'adapted in a mixture'),
    row(...Array<string>(8).fill('---')),
    ...first,
    HELD,
    row('`model_type`', 'gradients', 'training', 'GGUF', 'live tests'),
    row(...Array<string>(5).fill('---')),
    ...second,
    '',
  ].join('\n')
}

function casesOf(folder: string): Case[] {
  const at = join(fixtures, folder)
  return readdirSync(at).map((name) => ({ name, config: json(join(at, name, 'model/config.json')) }))
}

function ggufCases(): Case[] {
  const at = join(fixtures, 'gguf-families')
  const names = readdirSync(at).flatMap((file) => (file.endsWith('.json') ? [file.slice(0, -5)] : []))
  return names.map((name) => ({ name, config: json(join(at, `${name}.json`)).config as Case['config'] }))
}

/** The file that a family stands in, and how the file's head calls it. */
function sourceOf({ modelType }: Family): { name: string; file: string } {
  const at = join(root, 'src/models')
  for (const file of readdirSync(at)) {
    const source = readFileSync(join(at, file), 'utf8')
    if (!source.includes(`modelType: '${modelType}'`)) continue
    const name = /^\/\*\*[\s*]*(.+?)(?: \(|:)/.exec(source)?.[1]
    if (name) return { name, file }
  }
  throw new Error(`src/models has no file whose head names the family ${modelType}`)
}

/** what `targetParameters` alone means, as PEFT makes nothing of other names */
function named(models: readonly Model[]): string {
  const tensors = models.flatMap((model) => [...parametersOf(model).values()]).filter(({ role }) => role === 'experts' || role === 'router')
  const names = tensors.map(({ name, role }) => name.split('.').slice(role === 'router' ? -2 : -1).join('.')) // biome-ignore format: short
  return names.length === 0 ? 'none' : `by \`targetParameters\`: ${joined(names)}`
}

/** ops of a training step: LoRA on the default targets, the model's own term trained towards */
function opsOf(model: Model): string[] {
  const spec = settledSpec({ kind: 'lora', config: loraConfig({ targetModules: [...model.linears] }) }, model)
  const adapter = chooseAdapter(spec, { nf4: false, head: model.head.path, tiedTo: model.head.tiedTo }, true)
  const layout = layoutParameters(inspect(model, adapter, 'bf16').parameters.values())
  const term = { batches: 1, trained: true }
  const pass = tracePass({ model, adapter, activation: 'bf16', layout, tokens: 128, score: sft.score, term, gradients: true })
  const adamw = { beta1: 0.9, beta2: 0.999, eps: 1e-8, weightDecay: 0, momentum: 0, nesterov: false, rule: 'adamw' as const }
  const plans = [pass.lower(() => 'all').plan, optimizerPlan(layout, adamw)]
  return plans.flatMap(({ steps }) => steps.map(({ op }) => op))
}

function runsOn(ops: readonly string[], has: (op: string) => boolean): string {
  const missing = ops.filter((op) => !has(op))
  return missing.length === 0 ? 'yes' : `not yet: no kernel of ${joined(missing)}`
}

/** Live tests that make this family's cases anew, or name it, its class or one of its cases. */
function liveOf({ modelType, architecture }: Family, [gradients, training]: Case[][]): string {
  const folders = (under: string, cases: Case[]) => cases.map(({ name }) => `${under}/${name}`)
  const names = [modelType, architecture, ...folders('families', gradients!), ...folders('training', training!)]
  const word = new RegExp(`(?<![\\w-])(?:${names.join('|')})(?![\\w-]|\\.cpp)`)
  const tests = readdirSync(join(root, 'test/live')).filter((file) => {
    if (!file.endsWith('.live.ts')) return false
    const source = readFileSync(join(root, 'test/live', file), 'utf8')
    const anew = (oracle: string, cases: Case[]) => cases.length > 0 && source.includes(`oracle('${oracle}'`)
    return anew('families', gradients!) || anew('training', training!) || word.test(source)
  })
  return tests.map((file) => `[${file.replace('.live.ts', '')}](../test/live/${file})`).join(', ') || 'none'
}

const json = (path: string) => JSON.parse(readFileSync(path, 'utf8')) as Record<string, unknown>
const joined = (names: readonly string[]) => [...new Set(names)].join(', ')
const row = (...cells: string[]) => `| ${cells.join(' | ')} |`
