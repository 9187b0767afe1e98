/** What options need beside them, named where they are declared. */
import { join } from 'node:path'
import { option, say } from '../../error.ts'
import { isFile, isFolder } from '../../hub/files.ts'
import { type Need, ON_PATH } from '../../hub/need.ts'
import { followsMetric, warmsUp } from '../schedule/schedule.ts'

const isHere = (name: unknown) => typeof name === 'string' && (isFile(name) || isFolder(name))

/** a folder with an adapter, or a name on the Hub, of which nothing is known yet */
const mayBeAdapter = (name: unknown) => typeof name === 'string' && (isHere(name) ? isFile(join(name, 'adapter_config.json')) : true)

/** of an adapter that is trained on, they may say again what it is */
export const ADAPTER: Need = {
  met: (o) => o.usePeft === true || mayBeAdapter(o.modelNameOrPath),
  unless: say`without ${option('usePeft')}`,
  otherwise: say`all weights would be trained. Add ${option('usePeft')}, or leave out what is an adapter’s`,
}

export const FOUR_BITS: Need = { met: (o) => o.loadIn4bit === true, unless: say`without ${option('loadIn4bit')}` }

/** bfloat16 is what bf16 makes of it anyway */
export const NOT_BF16: Need = {
  met: (o) => o.bf16 === false || o.dtype === 'bfloat16',
  unless: say`without ${option('bf16')} false`,
}

export const HUB_MODEL: Need = {
  met: (o) => !isHere(o.modelNameOrPath),
  unless: 'on a path',
  otherwise: ON_PATH,
}

const isMixture = (o: Readonly<Record<string, unknown>>) => Array.isArray(o.datasets) && o.datasets.length > 0

export const MIXTURE: Need = { met: isMixture, unless: say`without ${option('datasets')}` }

/** as in TRL, of which each data set of a mixture has its own */
export const ALONE: Need = { met: (o) => !isMixture(o), unless: say`beside ${option('datasets')}` }

/** optimisers that keep moments, AdamW and Lion */
export const MOMENTS: Need = {
  met: (o) => !['sgd', 'adafactor', 'rmsprop', 'adagrad'].includes(String(o.optim)),
  unless: say`with ${option('optim')} sgd, rmsprop, adagrad or adafactor`,
}

export const ADAMW: Need = {
  met: (o) => String(o.optim).includes('adamw'),
  unless: say`with ${option('optim')} lion_32bit, sgd, rmsprop, adagrad or adafactor`,
}

export const PACKING: Need = {
  met: (o) => o.packing === true || o.evalPacking === true,
  unless: say`without ${option('packing')}`,
}

/** what is packed keeps its start, or all in several packs */
export const CUT: Need = {
  met: (o) => o.maxLength !== null && !(o.packing === true && o.evalPacking !== false),
  unless: say`without ${option('maxLength')}, or on rows that are packed (${option('packing')})`,
}

export const RANDOM_ORDER: Need = {
  met: (o) => o.trainSamplingStrategy === 'random',
  unless: say`without ${option('trainSamplingStrategy')} random`,
}

export const NO_STEPS: Need = { met: (o) => o.maxSteps === -1, unless: say`beside ${option('maxSteps')}` }

export const WARM_UP: Need = {
  met: (o) => warmsUp(String(o.lrSchedulerType)),
  unless: say`with this ${option('lrSchedulerType')}, which does not warm up`,
}

const asksForBest = (o: Readonly<Record<string, unknown>>) =>
  o.loadBestModelAtEnd === true || o.saveStrategy === 'best' || o.earlyStoppingPatience != null

export const METRIC: Need = {
  met: (o) => followsMetric(String(o.lrSchedulerType)) || asksForBest(o),
  unless: say`without ${option('loadBestModelAtEnd')}, ${option('saveStrategy')} best, ${option('earlyStoppingPatience')} or a ${option('lrSchedulerType')} that follows a metric (reduce_lr_on_plateau, greedy)`,
}

export const BEST: Need = {
  met: asksForBest,
  unless: say`without ${option('loadBestModelAtEnd')}, ${option('saveStrategy')} best or ${option('earlyStoppingPatience')}`,
}

export const LORAPLUS: Need = {
  met: (o) => o.loraplusLrRatio != null,
  unless: say`without ${option('loraplusLrRatio')}`,
}

export const PATIENCE: Need = {
  met: (o) => o.earlyStoppingPatience != null,
  unless: say`without ${option('earlyStoppingPatience')}`,
}

/** while it trains, or when a program asks */
export const EVALUATION: Need = {
  met: (o) => o.evalStrategy !== 'no' || o.evalOnStart === true || o.evalDataset === true,
  unless: say`without ${option('evalStrategy')} steps or epoch`,
}

export const EVALUATION_ON_THE_WAY: Need = { ...EVALUATION, met: (o) => o.evalStrategy !== 'no' }

export const EVALUATION_BY_STEPS: Need = {
  met: (o) => o.evalStrategy === 'steps',
  unless: say`without ${option('evalStrategy')} steps`,
}

/** eval_steps is as logging_steps where it isn't given */
export const LOGS_BY_STEPS: Need = {
  met: (o) => o.loggingStrategy === 'steps' || (o.evalStrategy === 'steps' && !o.evalSteps),
  unless: say`without ${option('loggingStrategy')} steps`,
}

export const SAVES_BY_STEPS: Need = {
  met: (o) => o.saveStrategy === 'steps',
  unless: say`without ${option('saveStrategy')} steps`,
}

export const PUSHED: Need = { met: (o) => o.pushToHub === true, unless: say`without ${option('pushToHub')}` }

export const TENSORBOARD: Need = {
  met: (o) => [o.reportTo].flat().some((name) => name === 'tensorboard' || name === 'all'),
  unless: say`without ${option('reportTo')} tensorboard`,
}
