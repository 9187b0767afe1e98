/** Patterns of paths: `*` and `?` within a folder, `**` across folders, `[abc]`, `[a-z]`, `[!abc]`. */

/** `[…]`: what it begins with may be `]`, after the `!` that turns it around; `^` is a character like another, as in Python's fnmatch */
const SET = /\[(!|(?!!))(\][^\]/]*|[^\]/]+)\]/
const SET_HERE = new RegExp(SET.source, 'y')

/** What makes a path a pattern. */
export const wild = new RegExp(`[*?]|${SET.source}`)

export function globMatcher(glob: string): (path: string) => boolean {
  const clean = glob.replace(/^\.\//, '')
  let source = ''
  for (let i = 0; i < clean.length; i++) {
    SET_HERE.lastIndex = i
    const set = SET_HERE.exec(clean)
    if (clean.startsWith('**/', i)) {
      source += '(?:[^/]+/)*'
      i += 2
    } else if (clean.startsWith('**', i)) {
      source += '.*'
      i += 1
    } else if (clean[i] === '*') source += '[^/]*'
    else if (clean[i] === '?') source += '[^/]'
    else if (set) {
      source += setSource(set[2]!, set[1] === '!')
      i += set[0].length - 1
    } else source += clean[i]!.replace(/[\\^$.|+()[\]{}]/, '\\$&')
  }
  const pattern = new RegExp(`^${source}$`, 'su')
  return (path) => pattern.test(path)
}

/** Of characters and of ranges; one from a higher to a lower holds nothing. */
function setSource(text: string, not: boolean): string {
  const characters = [...text]
  const code = (i: number) => `\\u{${characters[i]!.codePointAt(0)!.toString(16)}}`
  let source = ''
  for (let i = 0; i < characters.length; i++) {
    if (characters[i + 1] !== '-' || i + 2 >= characters.length) source += code(i)
    else {
      if (characters[i]!.codePointAt(0)! <= characters[i + 2]!.codePointAt(0)!) source += `${code(i)}-${code(i + 2)}`
      i += 2
    }
  }
  return not ? `[^/${source}]` : `[${source}]`
}
