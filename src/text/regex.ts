/**
 * A tokenizer's pattern is an Oniguruma regular expression; the tokenizer library translates it to JavaScript's. What has no exact
 * translation there is found here, so that it is refused and not run as something else.
 */

const groups = /^\(\?(?::|=|!|<=|<!|<[A-Za-z_]\w*>|i:)/

/** Names the first feature of `pattern` that would not match as in Oniguruma; null where all would. */
export function untranslatable(pattern: string): string | null {
  let quantified = false // the last thing read was a quantifier
  let depth = 0 // of character classes
  for (let i = 0; i < pattern.length; i++) {
    const c = pattern[i]!
    if (c === '\\') {
      const next = pattern[++i] ?? ''
      if (depth === 0 && /[GKRXgk1-9]/.test(next)) return `\\${next}`
      quantified = false
    } else if (c === '[') {
      depth++
      quantified = false
    } else if (c === ']' && depth > 0) depth--
    else if (depth > 0) continue
    else if (c === '(') {
      if (pattern.startsWith('(?>', i)) return 'an atomic group (?>…)'
      if (pattern[i + 1] === '?' && !groups.test(pattern.slice(i))) return `the group ${pattern.slice(i, i + 4)}…`
      if (pattern[i + 1] === '?') i++ // the question mark belongs to the group
      quantified = false
    } else if (c === '+' || c === '*' || c === '?') {
      if (quantified && c === '+') return `a possessive quantifier ${pattern[i - 1]}+`
      quantified = true
    } else quantified = false
  }
  return null
}
