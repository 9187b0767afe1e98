// How the command's bundle comes by what Node brings (tools/command.mjs).

/** as the bundler writes an import: a default, names in braces, or both */
const IMPORT = /^import (?:(\w+)(?:, )?)?(?:\{([^}]*)\})? from "(node:[^"]+)";$/gm
/** any import of Node's, and what is passed on of one */
const ANY = /^(?:import|export)\b\s*(?:[\w*{][^;"']*from\s*)?["']node:.*$/m

/** whose functions are taken when they are called: they take milliseconds to make, and few of those who would make a hash, or read beside others, do */
const LATE = new Set(['node:crypto', 'node:fs/promises'])

/**
 * What is imported of Node is taken from `process.getBuiltinModule`: an import makes a module of every builtin, which reads all that it has, also
 * what it would load when asked (TextDecoder's tables of `node:util`), and is resolved and linked by each file anew.
 * @param {string} code of a bundled file
 * @throws Error where an import is written in a form that this doesn't know: it would be linked again, with all that it has
 */
export function takeBuiltins(code) {
  const made = code.replace(IMPORT, (all, whole, parts, name) => {
    // a builtin has its default as a module alone
    if (/\bdefault\b/.test(parts ?? '')) return all
    const from = `process.getBuiltinModule("${name}")`
    if (LATE.has(name)) {
      if (whole || !parts) throw new Error(`functions of ${name} are imported by their names: ${all}`)
      const late = parts.split(',').map((part) => part.trim().split(' as '))
      const builtin = process.getBuiltinModule(name)
      const other = late.find(
        ([theirs]) => typeof builtin[theirs] !== 'function' || (builtin[theirs].prototype !== undefined && /^class|^[A-Z]/.test(theirs)),
      )
      if (other) throw new Error(`${other[0]} of ${name} is no function that could be taken when it is called`)
      return late.map(([theirs, ours = theirs]) => `const ${ours} = (...given) => ${from}.${theirs}(...given);`).join(' ')
    }
    const taken = parts === undefined ? '' : `const {${parts.replaceAll(' as ', ': ')}} = ${whole ?? from};`
    return [whole ? `const ${whole} = ${from};` : '', taken].filter(Boolean).join(' ')
  })
  const left = ANY.exec(made)
  if (left) throw new Error(`the command's bundle has an import that isn't understood: ${left[0]}`)
  return made
}

/**
 * A file without a character beyond ASCII: with one, in a comment even, a program is held, and read, as two bytes a character.
 * @param {string} code of a bundled file
 * @throws Error where one stands in a template that is read as it is written
 */
export function asAscii(code) {
  // what a tag reads as it is written would change
  for (const { index, 0: tag } of code.matchAll(/\braw\s*`/g)) {
    endOfTemplate(code, index + tag.length, (text) => {
      if (/[^\0-\x7f]/.test(text)) throw new Error(`a text that is read as it is written has a character beyond ASCII: ${text}`)
    })
  }
  const escaped = /(?<!\\)(?:\\\\)*\\[^\0-\x7f]/.exec(code)
  if (escaped) throw new Error(`a character beyond ASCII stands behind a backslash: ${escaped[0]}`)
  return code.replace(/[^\0-\x7f]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)
}

/**
 * Where the template that `at` is the first character of ends; its texts are visited, values between them are passed over.
 * @param {string} code
 * @param {number} at
 * @param {(text: string) => void} visit
 * @returns {number}
 */
function endOfTemplate(code, at, visit) {
  let from = at
  for (let i = at; i < code.length; i++) {
    if (code[i] === '\\') i++
    else if (code[i] === '`' || code.startsWith('${', i)) {
      visit(code.slice(from, i))
      if (code[i] === '`') return i
      i = endOfValue(code, i + 2)
      from = i + 1
    }
  }
  throw new Error(`a template doesn't end: ${code.slice(at, at + 80)}`)
}

/**
 * @param {string} code
 * @param {number} at
 * @returns {number} the brace that ends the value of a template
 */
function endOfValue(code, at) {
  let depth = 0
  for (let i = at; i < code.length; i++) {
    const c = code[i]
    if (c === '`') i = endOfTemplate(code, i + 1, () => {})
    else if (c === '"' || c === "'") while (code[++i] !== c && i < code.length) if (code[i] === '\\') i++
    if (c === '{') depth++
    if (c === '}' && depth-- === 0) return i
  }
  throw new Error(`a value in a template doesn't end: ${code.slice(at, at + 80)}`)
}
