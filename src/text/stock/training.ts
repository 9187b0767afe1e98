/**
 * Templates as models carry them, for training on what the assistant wrote. Few say with `{% generation %}` what that is. Where TRL 1.16
 * knows a template (by its text, to the letter), it trains on another in its place, which says it, and where a turn's text hangs on the
 * turns behind it makes that one text. The same is reached here by edits of the template itself, for exactly the templates TRL knows:
 * the targets are TRL's own, which a test over all of them holds against TRL.
 */
import { createHash } from 'node:crypto'
import { edited } from './edit.ts'
import { googleMeta } from './google-meta.ts'
import { others } from './others.ts'
import { qwen } from './qwen.ts'

const known = new Map([...qwen, ...googleMeta, ...others].map((template) => [template.sha256, template]))

/** The template with what the assistant wrote between marks; undefined where it is none that is known. */
export function trainingTemplate(source: string): string | undefined {
  const found = known.get(createHash('sha256').update(source, 'utf8').digest('hex'))
  return found && edited(source, found)
}
