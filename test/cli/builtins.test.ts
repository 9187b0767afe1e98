// biome-ignore-all lint/suspicious/noTemplateCurlyInString: programs in texts
/** What the command's bundle imports of Node: taken from Node itself, the same values under the same names; any other form ends the build. */
import { createHash } from 'node:crypto'
import fs, { existsSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'

const { takeBuiltins, asAscii }: Record<'takeBuiltins' | 'asAscii', (code: string) => string> = await import(
  join(import.meta.dirname, '../../tools/builtins.mjs')
)

/** what the code's names are, run as a program */
const run = (code: string, ...names: string[]) => new Function(`${code}\nreturn [${names.join(', ')}]`)() as unknown[]

it.each([
  ['import { existsSync } from "node:fs";', ['existsSync'], [existsSync]],
  ['import { existsSync, join as join$1 } from "node:fs";\n', ['existsSync'], [existsSync]],
  ['import { existsSync as exists$1 } from "node:fs";\nimport { join } from "node:path";', ['exists$1', 'join'], [existsSync, join]],
  ['import fs from "node:fs";', ['fs'], [fs]],
  ['import fs, { existsSync as there } from "node:fs";', ['fs', 'there'], [fs, existsSync]],
  ['import {\n  existsSync,\n  statSync\n} from "node:fs";', ['existsSync'], [existsSync]],
])('%s', (code, names, values) => {
  const made = takeBuiltins(code)
  expect(made).not.toMatch(/^import/m)
  const found = run(made, ...names)
  for (const [i, value] of values.entries()) expect(found[i], names[i]).toBe(value)
})

it('functions of node:crypto are taken when they are called', () => {
  const made = takeBuiltins('import { createHash, randomUUID as newId$1 } from "node:crypto";')
  const [hash, id] = run(made, 'createHash', 'newId$1') as [typeof createHash, () => string]
  expect(hash).not.toBe(createHash)
  expect(hash('sha256').update('a').digest('hex')).toBe(createHash('sha256').update('a').digest('hex'))
  expect(id()).toMatch(/^[0-9a-f-]{36}$/)
  expect(() => takeBuiltins('import crypto from "node:crypto";')).toThrow(/by their names/)
})

it.each([
  'import * as fs from "node:fs";',
  'import fs, * as all from "node:fs";',
  'import "node:fs";',
  'import { default as fs } from "node:fs";', // of a builtin itself it is undefined
  'import {\n  existsSync\n} from "node:fs" with { type: "x" };',
  "import { existsSync } from 'node:fs';",
  'export { existsSync } from "node:fs";',
  'export * from "node:fs";',
])('%s ends the build', (code) => {
  expect(() => takeBuiltins(`import { join } from "node:path";\n${code}\n`)).toThrow(/import that isn't understood: (im|ex)port/)
})

it('leaves everything else as it is', () => {
  const code =
    'import { z } from "zod";\nconst later = () => import("node:http");\nconst text = `\nimported from "node:fs"`;\nexport { later };\n'
  expect(takeBuiltins(code)).toBe(code)
})

it('a program in ASCII means what it meant: texts, templates, names and expressions; what is read as it is written ends the build', () => {
  const code = [
    'const é = "’𝒳", b = `\u2028${é}×`, c = [/[’𝒳]/u.test(é), /^’\ud835\udcb3$/.test(é), "a𝒳b".split(/𝒳/u).length] // – ’',
    'const d = String.raw`\\p{L}`',
  ].join('\n')
  const ascii = asAscii(code)
  expect(ascii).toMatch(/^[\0-\x7f]+$/)
  expect(run(ascii, 'é', 'b', 'c', 'd')).toEqual(run(code, 'é', 'b', 'c', 'd'))
  expect(run(ascii, 'c')[0]).toEqual([true, true, 2])
  expect(() => asAscii('const x = String.raw`a’b`')).toThrow(/beyond ASCII: a’b/)
  // behind a value, with a value that is such a text itself, behind an escaped backtick, by another name
  for (const text of ['String.raw`a${`b`}é`', 'String.raw`a${raw`é` + "}"}b`', 'String.raw`\\`é`', 'const { raw } = String; raw`é`'])
    expect(() => asAscii(text), text).toThrow(/beyond ASCII/)
  expect(asAscii('String.raw`a${x.replaceAll("}", `é`)}b`')).toBe('String.raw`a${x.replaceAll("}", `\\u00e9`)}b`')
  // an escape that stands for itself would become the letter u
  for (const text of ['"\\é"', '/[\\–-]/', '`\\\\\\’`']) expect(() => asAscii(text), text).toThrow(/behind a backslash/)
  expect(asAscii('"\\\\é"')).toBe('"\\\\\\u00e9"')
})

it.each(['webcrypto', 'constants', 'Hash'])('%s of node:crypto is no function to be called later', (name) => {
  expect(() => takeBuiltins(`import { ${name} } from "node:crypto";`)).toThrow(`${name} of node:crypto is no function`)
})
