/**
 * Keys of config.json that no family reads: those that change nothing here, and those that would. With what the families read this is every
 * key of the configuration classes of transformers 5.23 (a test holds them against each other). Keys that transformers doesn't know either
 * have no effect there.
 */
import { SaqrError } from '../error.ts'

/** Proven to have no effect on what is computed or trained. */
export const HARMLESS: ReadonlySet<string> = new Set(
  [
    // who wrote it, and which class it was
    'architectures auto_map model_type name_or_path _name_or_path _commit_hash transformers_version dtype torch_dtype',
    // heads of other tasks
    'id2label label2id num_labels problem_type',
    // what a call returns, and how transformers computes it
    'attn_implementation experts_implementation output_attentions output_hidden_states return_dict use_cache chunk_size_feed_forward',
    // first values of weights that every checkpoint has; tensor parallelism of a past version
    'initializer_range pretraining_tp',
    // tokens: the tokenizer's files say them, eos_token_id also ends an answer
    'bos_token_id eos_token_id',
    // where pictures stand among the tokens, which no row here has
    'boi_token_index eoi_token_index image_token_index mm_tokens_per_image',
    // generation, by transformers' old habit of keeping it here: popped when read
    'assistant_confidence_threshold assistant_lookbehind bad_words_ids begin_suppress_tokens diversity_penalty do_sample early_stopping',
    'encoder_no_repeat_ngram_size encoder_repetition_penalty epsilon_cutoff eta_cutoff exponential_decay_length_penalty forced_bos_token_id',
    'forced_eos_token_id length_penalty max_length min_length no_repeat_ngram_size num_assistant_tokens num_assistant_tokens_schedule',
    'num_beam_groups num_beams num_return_sequences output_scores remove_invalid_values repetition_penalty return_dict_in_generate',
    'suppress_tokens target_lookbehind temperature top_k top_p typical_p',
  ].flatMap((line) => line.split(' ')),
)

/** Values that mean the key is not used; anything else is another model. */
export const UNUSED: Readonly<Record<string, readonly unknown[]>> = {
  per_layer_config: [null],
  is_encoder_decoder: [false, null],
  is_causal: [true, null],
  transformers_weights: [null],
}

/** @throws SaqrError MODEL_CONFIG */
export function checkUnused(config: Readonly<Record<string, unknown>>, within = ''): void {
  for (const [key, unused] of Object.entries(UNUSED)) {
    const value = config[key]
    if (value === undefined || unused.includes(value) || isEmpty(value)) continue
    throw new SaqrError(
      'MODEL_CONFIG',
      `config.json: ${within}${key} is ${JSON.stringify(value)}, which makes another model of it: not supported`,
    )
  }
}

const isEmpty = (value: unknown) => typeof value === 'object' && value !== null && Object.keys(value).length === 0
