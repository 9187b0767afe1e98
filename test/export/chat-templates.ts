/** Chat templates in the ways of models that there are, written for tests, and conversations for them. */
import type { Message } from '../../src/text/chat-template.ts'

const RAISE = "{{ raise_exception('no system message') }}"
export const TEMPLATES: Record<string, { source: string; place: string }> = {
  chatml: {
    place: 'before',
    source: `{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}`,
  },
  'chatml with a system message of its own': {
    place: 'before',
    source: `{% if messages[0].role != 'system' %}<|im_start|>system\nYou are a bird.<|im_end|>\n{% endif %}{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}`,
  },
  'headers, the first text trimmed': {
    place: 'before',
    source: `{{ bos_token }}{% for m in messages %}<|start_header_id|>{{ m.role }}<|end_header_id|>\n\n{{ m.content | trim }}<|eot_id|>{% endfor %}{% if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>\n\n{% endif %}`,
  },
  'the system message in the first turn': {
    place: 'first',
    source: `{{ bos_token }}{% set ns = namespace(pre='') %}{% if messages[0].role == 'system' %}{% set ns.pre = messages[0].content + '\n\n' %}{% set messages = messages[1:] %}{% endif %}{% for m in messages %}<start_of_turn>{{ 'model' if m.role == 'assistant' else m.role }}\n{{ ns.pre if loop.first }}{{ m.content | trim }}<end_of_turn>\n{% endfor %}{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}`,
  },
  'the system message in the last turn': {
    place: 'last',
    source: `{{ bos_token }}{% set ns = namespace(sys='') %}{% if messages[0].role == 'system' %}{% set ns.sys = messages[0].content %}{% set messages = messages[1:] %}{% endif %}{% for m in messages %}{% if m.role == 'user' %}[INST] {{ ns.sys + '\n\n' if loop.last and ns.sys }}{{ m.content }}[/INST]{% else %} {{ m.content }}{{ eos_token }}{% endif %}{% endfor %}`,
  },
  'no system message': {
    place: 'nowhere',
    source: `{% for m in messages %}{% if m.role == 'system' %}${RAISE}{% endif %}<|{{ m.role }}|>\n{{ m.content }}<|end|>\n{% endfor %}{% if add_generation_prompt %}<|assistant|>\n{% else %}{{ eos_token }}{% endif %}`,
  },
}
export const CONVERSATIONS: Message[][] = [1, 2, 3, 4].flatMap((turns) =>
  [[], [{ role: 'system', content: 'Be {brief}.\n\nBe kind.' }]].map((before) => [
    ...before,
    ...Array.from({ length: 2 * turns - 1 }, (_, i) => ({
      role: i % 2 ? 'assistant' : 'user',
      content: ['Hi "there" 🦅', 'a\n\n  b', '</x> 3', 'وعليكم السلام', 'x'][(i + turns) % 5]!,
    })),
  ]),
)
export const SPECIAL = { bos_token: '<s>', eos_token: '</s>' }

/** what a conversation with this template may hold: one without a place for a system message gets none */
export const asked = (place: string): Message[][] =>
  CONVERSATIONS.filter((messages) => place !== 'nowhere' || messages[0]!.role !== 'system')

/** says everything that a Modelfile has a parameter for */
export const GENERATION = {
  do_sample: true,
  temperature: 0.6,
  top_k: 20,
  top_p: 0.9,
  min_p: 0.05,
  repetition_penalty: 1.05,
  eos_token_id: [258, 257],
}
