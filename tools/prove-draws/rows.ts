/** Rows of a drawn run: texts of the training fixtures cut into prompts and answers, as text or as conversations. */
import type { Draw } from './draw.ts'

export interface DrawnRows {
  rows: object[]
  /** is there an assistant in them? */
  talks: boolean
}

export const TEMPLATE = `{% for m in messages %}<s>{{ m['role'] }}: {% if m['role'] == 'assistant' %}{% generation %}{{ m['content'] }}</s>{% endgeneration %}{% else %}{{ m['content'] }}</s>{% endif %}{% endfor %}{% if add_generation_prompt %}<s>assistant: {% endif %}`

const said = (role: string, content: string) => ({ role, content: content.trim() })

export function rowsOf(kind: string, d: Draw, texts: readonly string[]): DrawnRows {
  const count = d.of(12, 17, 24, 40)
  const conversation = d.is(0.4)
  const shape = kind === 'sft' ? d.of('text', 'pairs', 'messages') : kind === 'kto' ? 'rated' : 'preferences'
  const implicit = kind === 'dpo' && d.is(0.2)
  const text = () => texts[d.below(texts.length)]!
  const rows = Array.from({ length: count }, (_, i) => {
    const whole = text()
    const [prompt, good] = halves(whole)
    const [question, other] = halves(text())
    // TRL's rounding of a pair that says the same twice is all that its gradient is
    const bad = other === good ? `${other} ${question}` : other
    if (shape === 'text') return { text: whole }
    if (shape === 'messages') {
      const more = i % 3 ? [said('user', question), said('assistant', bad)] : []
      return { messages: [...(i % 2 ? [said('system', question)] : []), said('user', prompt), said('assistant', good), ...more] }
    }
    const [p, a, b] = conversation ? [[said('user', prompt)], [said('assistant', good)], [said('assistant', bad)]] : [prompt, good, bad]
    if (shape === 'pairs') return { prompt: p, completion: a }
    if (shape === 'rated') return { prompt: p, completion: i % 2 ? a : b, label: (i * 3) % 8 < 5 }
    if (implicit) return conversation ? { chosen: [...(p as object[]), ...(a as object[])], rejected: [...(p as object[]), ...(b as object[])] } : { chosen: prompt + good, rejected: prompt + bad } // biome-ignore format: a line
    return { prompt: p, chosen: a, rejected: b }
  })
  return { rows, talks: shape === 'messages' || (shape === 'pairs' && conversation) }
}

function halves(text: string): [string, string] {
  const words = text.split(' ')
  const half = Math.max(1, words.length >> 1)
  return [words.slice(0, half).join(' '), ` ${words.slice(half).join(' ')}`]
}
