/** A run by its number: which trainer, which model, rows of which shape, and options, of those that both sides have. */
import { random } from '../../test/ops/draw.ts'
import { type DrawnRows, rowsOf, TEMPLATE } from './rows.ts'

export class Draw {
  readonly #next: () => number
  constructor(number: number) {
    this.#next = random(Math.imul(number, 0x9e3779b1) | 0)
    // those of neighbouring numbers begin alike
    for (let i = 0; i < 5; i++) this.#next()
  }
  /** one of them */
  of<T>(...list: readonly T[]): T {
    return list[Math.floor(this.#next() * list.length)]!
  }
  below(n: number): number {
    return Math.floor(this.#next() * n)
  }
  is(chance: number): boolean {
    return this.#next() < chance
  }
  /** the options, with a chance */
  maybe(chance: number, options: () => object): object {
    return this.is(chance) ? options() : {}
  }
}

export interface Run extends DrawnRows {
  kind: Kind
  model: string
  template: string
  /** of TRL, by its names */
  options: Record<string, unknown>
}

type Kind = 'sft' | 'dpo' | 'kto' | 'orpo' | 'cpo'
type Options = Record<string, unknown>

export interface From {
  models: readonly string[]
  texts: readonly string[]
  half: boolean
}

export function drawn(d: Draw, { models, texts, half }: From): Run {
  const kind = d.of<Kind>('sft', 'sft', 'dpo', 'dpo', 'kto', 'orpo', 'cpo')
  // rounded to bf16, tokens go to other experts on either side; and bitsandbytes leaves experts as they are: nothing to compare
  const model = d.of(...models.filter((name) => !half || !MIXTURES.includes(name)))
  const rows = rowsOf(kind, d, texts)
  const options: Options = { dtype: 'float32', bf16: false, ...common(d), ...adapter(d, model, half), ...OWN[kind](d, rows) }
  if (half) Object.assign(options, inHalf(d))
  leaveOut(options, kind, model, d)
  return { kind, model, template: TEMPLATE, options, ...rows }
}

function common(d: Draw): Options {
  const schedule = d.of('linear', 'cosine', 'constant', 'constant_with_warmup', 'polynomial', 'inverse_sqrt', 'cosine_with_min_lr', 'warmup_stable_decay', 'cosine_with_restarts') // biome-ignore format: a line
  const wants: Record<string, object> = { cosine_with_min_lr: { min_lr_rate: 0.1 }, warmup_stable_decay: { num_decay_steps: 3 } }
  return {
    learning_rate: d.of(1e-4, 1e-3, 5e-3),
    per_device_train_batch_size: d.of(2, 3, 4, 8),
    gradient_accumulation_steps: d.of(1, 1, 2, 3),
    lr_scheduler_type: schedule,
    ...(wants[schedule] ? { lr_scheduler_kwargs: wants[schedule] } : {}),
    ...d.maybe(0.4, () => ({ warmup_steps: d.of(2, 3, 0.3) })),
    ...d.maybe(0.3, () => ({ weight_decay: d.of(0.01, 0.5) })),
    ...d.maybe(0.3, () => ({ max_grad_norm: d.of(0, 0.1, 10) })),
    ...d.maybe(0.3, () => ({ adam_beta2: 0.95 })),
    ...d.maybe(0.2, () => ({ adam_epsilon: 1e-5 })),
    ...d.maybe(0.3, () => ({ seed: d.of(1, 7, 3407) })),
    ...d.maybe(0.1, () => ({ data_seed: 5 })),
    ...d.maybe(0.3, () => ({ optim: d.of('adamw_torch', 'adafactor', 'lion_32bit', 'sgd', 'rmsprop', 'adagrad') })),
    ...d.maybe(0.25, () => ({ train_sampling_strategy: 'sequential' })),
    ...d.maybe(0.15, () => ({ dataloader_drop_last: true })),
    ...d.maybe(0.5, () => ({ max_steps: d.of(5, 12, 30) })),
    ...d.maybe(0.3, () => ({ num_train_epochs: d.of(1, 2, 2.5) })),
  }
}

/** modules by family; the others' are Llama's. Two at least: TRL takes one alone for a regular expression of the whole path */
const MODULES: Record<string, readonly (readonly string[])[]> = {
  phi3: [
    ['qkv_proj', 'down_proj'],
    ['o_proj', 'gate_up_proj'],
  ],
  'deepseek-v3': [
    ['q_b_proj', 'kv_b_proj'],
    ['kv_a_proj_with_mqa', 'q_a_proj'],
  ],
}

function adapter(d: Draw, model: string, half: boolean): Options {
  if (!half && d.is(0.3)) return {}
  const modules = MODULES[model] ?? [
    ['q_proj', 'v_proj'],
    ['k_proj', 'o_proj'],
    ['o_proj', 'q_proj'],
  ]
  return {
    use_peft: true,
    lora_r: d.of(2, 4, 5, 8),
    lora_alpha: d.of(4, 16, 32),
    lora_dropout: d.of(0, 0.1),
    lora_target_modules: d.of<unknown>('all-linear', ...modules),
    ...d.maybe(0.2, () => ({ use_rslora: true })),
    ...d.maybe(half ? 0 : 0.15, () => ({ lora_modules_to_save: d.of(['lm_head'], ['embed_tokens', 'lm_head']) })),
  }
}

const OWN: Record<Kind, (d: Draw, rows: DrawnRows) => Options> = {
  sft: (d, { talks }) => ({
    ...d.maybe(0.3, () => ({ packing: true, packing_strategy: d.of('bfd', 'bfd_split', 'wrapped') })),
    ...d.maybe(0.5, () => ({ max_length: d.of(32, 64) })),
    ...d.maybe(talks ? 0.3 : 0, () => ({ assistant_only_loss: true })),
    ...d.maybe(0.3, () => ({ loss_type: d.of('nll', 'chunked_nll', 'dft') })),
  }),
  dpo: (d) => ({
    ...d.maybe(0.7, () => ({ loss_type: d.of<unknown>('hinge', 'ipo', 'exo_pair', 'nca_pair', 'robust', 'bco_pair', 'sppo_hard', 'aot', 'aot_unpaired', 'apo_zero', 'apo_down', 'sft', 'sigmoid_norm', ['sigmoid', 'sft'], ['apo_zero', 'ipo']) })), // biome-ignore format: a line
    ...d.maybe(0.5, () => ({ beta: d.of(0.01, 0.3) })),
    label_smoothing: d.of(0.1, 0.2),
    ...d.maybe(0.3, () => ({ ld_alpha: d.of(0, 0.5) })),
    ...d.maybe(0.25, () => ({ f_divergence_type: d.of('forward_kl', 'js_divergence', 'alpha_divergence') })),
    ...d.maybe(0.2, () => ({ use_weighting: true })),
    ...d.maybe(0.4, () => ({ max_length: d.of(40, 48), truncation_mode: d.of('keep_start', 'keep_end') })),
    ...d.maybe(0.2, () => ({ precompute_ref_log_probs: true })),
  }),
  kto: (d) => ({
    ...d.maybe(0.4, () => ({ loss_type: 'apo_zero_unpaired' })),
    ...d.maybe(0.4, () => ({ beta: d.of(0.01, 0.5) })),
    ...d.maybe(0.4, () => ({ desirable_weight: d.of(0.7, 1.5) })),
    ...d.maybe(0.4, () => ({ undesirable_weight: d.of(0.7, 1.5) })),
    ...d.maybe(0.2, () => ({ precompute_ref_log_probs: true })),
  }),
  orpo: (d) => ({ ...d.maybe(0.5, () => ({ beta: d.of(0.05, 0.5) })) }),
  cpo: (d) => ({
    ...d.maybe(0.7, () => ({ loss_type: d.of('hinge', 'ipo', 'simpo', 'alphapo') })),
    ...d.maybe(0.4, () => ({ cpo_alpha: d.of(0, 0.5) })),
    ...d.maybe(0.3, () => ({ label_smoothing: 0.1 })),
    ...d.maybe(0.3, () => ({ simpo_gamma: 1 })),
  }),
}

const MIXTURES = ['mixtral', 'qwen3-moe', 'gpt-oss', 'deepseek-v3']

function inHalf(d: Draw): Options {
  const four = d.is(0.5)
  return { ...(four ? { load_in_4bit: true } : {}), ...(four && d.is(0.5) ? {} : { bf16: true, dtype: d.of('float32', 'bfloat16') }) }
}

const DIFFERENCES = [undefined, 'hinge', 'ipo', 'robust', 'exo_pair', 'sigmoid_norm']

/** What one of both refuses, said in their docs, is left out: a draw that is refused says nothing. */
function leaveOut(o: Options, kind: Kind, model: string, d: Draw): void {
  const balanced = MIXTURES.slice(0, 3).includes(model)
  if (balanced && kind === 'kto' && o.loss_type === undefined) o.router_aux_loss_coef = 0.0
  else if (balanced && ['sft', 'dpo'].includes(kind) && d.is(0.3)) o.router_aux_loss_coef = d.of(0.01, 0.3)
  if (!DIFFERENCES.includes(o.loss_type as string | undefined)) delete o.f_divergence_type
  if (Array.isArray(o.loss_type) || /sft|aot|ipo|hinge/.test(String(o.loss_type))) delete o.use_weighting // beside hinge torch itself fails
  // transformers 5.23's gpt-oss lets rows of a pack see one another
  if (model === 'gpt-oss') delete o.packing
  if (!o.packing) delete o.packing_strategy
  else o.max_length ??= 64
  // its moments are of rows and columns, which experts' adapters have otherwise in their files
  if (MIXTURES.includes(model) && o.optim === 'adafactor') delete o.optim
}
