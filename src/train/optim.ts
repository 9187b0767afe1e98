/** What `optim` and the options of learning rates mean for the optimiser's plan. */
import type { ParameterSpec } from '../adapters/adapter.ts'
import { TOKEN_ROWS } from '../adapters/token-rows.ts'
import { type Message, option, SaqrError, say } from '../error.ts'
import type { OptimizerOptions } from '../graph/optimizer.ts'
import type { UpdateRuleName } from '../graph/update-rules.ts'
import type { CommonOptions } from './options/common-config.ts'

const RULES: Record<CommonOptions['optim'], UpdateRuleName> = {
  adamw_torch: 'adamw',
  adamw_torch_fused: 'adamw',
  adamw_torch_xla: 'adamw',
  adamw_torch_npu_fused: 'adamw',
  adafactor: 'adafactor',
  paged_adamw_32bit: 'adamw',
  adamw_8bit: 'adamw_8bit',
  adamw_bnb_8bit: 'adamw_8bit',
  paged_adamw_8bit: 'adamw_8bit',
  lion_32bit: 'lion',
  paged_lion_32bit: 'lion',
  sgd: 'sgd',
  rmsprop: 'rmsprop',
  adagrad: 'adagrad',
}

/** Its states in 8 bits? */
export function is8bit(optim: CommonOptions['optim']): boolean {
  return RULES[optim] === 'adamw_8bit'
}

/** What a checkpoint's state of the optimiser is of: a run goes on with the same alone. */
export function statesOf({ optim, optimArgs }: Pick<CommonOptions, 'optim' | 'optimArgs'>): string {
  const rule = RULES[optim]
  if (rule === 'adamw') return '32 bits'
  if (rule === 'adamw_8bit') return '8 bits'
  return rule === 'sgd' && argumentsOf({ optim, optimArgs }).momentum > 0 ? 'sgd_momentum' : rule
}

/**
 * @param head path of the output layer
 * @param trained all tensors that are
 * @throws SaqrError OPTION_INVALID for arguments that the optimiser has not, and rates that no tensor has
 */
export function optimizerOptions(o: CommonOptions, head: string, trained: readonly ParameterSpec[]): OptimizerOptions {
  const { momentum, nesterov } = argumentsOf(o)
  const rule = RULES[o.optim]
  return {
    rule: rule === 'sgd' && momentum > 0 ? 'sgd_momentum' : rule,
    beta1: o.adamBeta1,
    beta2: o.adamBeta2,
    eps: o.adamEpsilon,
    weightDecay: o.weightDecay,
    momentum,
    nesterov,
    rate: rateOf(o, head, trained),
  }
}

/** optim_args: `momentum=0.9, nesterov=true`. @throws SaqrError OPTION_INVALID */
export function argumentsOf({ optim, optimArgs }: Pick<CommonOptions, 'optim' | 'optimArgs'>): { momentum: number; nesterov: boolean } {
  const found = { momentum: 0, nesterov: false }
  for (const part of (optimArgs ?? '').split(',')) {
    if (part.trim() === '') continue
    const [name = '', value = ''] = part.split('=').map((text) => text.trim())
    const wrong = (what: string | Message) => new SaqrError('OPTION_INVALID', say`${option('optimArgs')} ${part.trim()}: ${what}`)
    if (optim !== 'sgd')
      throw wrong(
        ['adafactor', 'rmsprop', 'adagrad'].includes(optim)
          ? say`${optim} has no arguments here, as transformers' Trainer passes it none; ${option('weightDecay')} is an option of its own`
          : say`${optim} has no arguments here: ${option('adamBeta1')}, ${option('adamBeta2')} and ${option('weightDecay')} are options of their own`,
      )
    if (name === 'momentum' && Number(value) >= 0 && Number(value) < 1 && value !== '') found.momentum = Number(value)
    else if (name === 'nesterov' && /^(true|false|1|0|yes|no)$/i.test(value)) found.nesterov = /^(true|1|yes)$/i.test(value)
    else throw wrong('expected momentum=M with M from 0 to below 1, or nesterov=true')
  }
  if (found.nesterov && found.momentum === 0)
    throw new SaqrError('OPTION_INVALID', say`${option('optimArgs')} nesterov=true needs a momentum: momentum=0.9,nesterov=true`)
  return found
}

/** Learning rates of their own, as shares of the run's: all follow one schedule. */
function rateOf(o: CommonOptions, head: string, trained: readonly ParameterSpec[]): OptimizerOptions['rate'] {
  const { learningRate, loraplusLrRatio: ratio, loraplusLrEmbedding, embeddingLearningRate: ofEmbeddings } = o
  if (ratio === null && ofEmbeddings === null) return null
  const isWhole = ({ name, role }: ParameterSpec) =>
    !LOW_RANK.test(name) && !name.endsWith(TOKEN_ROWS) && (role === 'embedding' || name === `${head}.weight`)
  const asked = ratio !== null ? 'loraplusLrRatio' : 'embeddingLearningRate'
  const refuse = (what: string) => new SaqrError('OPTION_INVALID', say`${option(asked)}: ${what}`)
  if (ratio !== null && !trained.some(({ name }) => LOW_RANK.test(name)))
    throw refuse('there is no LoRA adapter: LoRA+ gives its B another rate')
  if (ofEmbeddings !== null && !trained.some(isWhole))
    throw new SaqrError(
      'OPTION_INVALID',
      say`${option('embeddingLearningRate')}: neither embeddings nor the head are trained whole; name them in ${option('modulesToSave')}`,
    )
  return (spec) => {
    if (ofEmbeddings !== null && isWhole(spec)) return ofEmbeddings / learningRate
    if (ratio === null) return 1
    // as PEFT groups them: what stands in for embeddings apart, vectors with B
    if (/\.lora_embedding_[AB]/.test(spec.name)) return loraplusLrEmbedding / learningRate
    return /\.lora_B(\.|$)/.test(spec.name) || spec.role === 'bias' || spec.role === 'norm' ? ratio : 1
  }
}

const LOW_RANK = /\.lora_(embedding_)?[AB](\.|$)/
