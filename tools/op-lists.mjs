// The lists of ops come from the folders: writes src/ops/generated/{ops,references,cuda,cases}.ts, each only when it changed.
// Run by tools/ready.mjs before the compilers; not committed.
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = join(dirname(dirname(fileURLToPath(import.meta.url))), 'src/ops')

/** what each list holds: the file of a folder it comes from, and its code out of the folders' modules m0, m1 … */
const LISTS = {
  ops: {
    file: 'op.ts',
    text: (modules) => `import type { Op } from '../op.ts'

/** every op that a folder declares */
export const ops: readonly Op[] = [${modules}].flatMap((module) =>
  Object.values<unknown>(module).filter((x): x is Op => typeof x === 'object' && x !== null && 'outputs' in x && 'flops' in x),
)
`,
  },
  references: {
    file: 'reference.ts',
    text: (modules) => `import { byName, type Reference } from '../op.ts'

/** every op's definition by name: what the reference device runs */
export const references = byName<Reference>([${modules}].flatMap((module) => module.references))
`,
  },
  cuda: {
    file: 'cuda.ts',
    text: (modules) => `import type { CudaOp } from '../cuda-launch.ts'
import { byName } from '../op.ts'

/** every op that runs on an NVIDIA card, by name */
export const cudaOps = byName<CudaOp>([${modules}].flatMap((module) => module.cuda))
`,
  },
  cases: {
    file: 'cases.ts',
    text: (modules) => `import type { OpCase } from '../op.ts'

/** every op's cases: what the suite runs on every device, and \`npm run bench:ops\` times */
export const cases: readonly OpCase[] = [${modules}].flatMap((module): readonly OpCase[] => module.cases)
`,
  },
}

const folders = readdirSync(root, { withFileTypes: true })
  .filter((entry) => entry.isDirectory() && existsSync(join(root, entry.name, 'op.ts')))
  .map((entry) => entry.name)
  .sort()

mkdirSync(join(root, 'generated'), { recursive: true })
for (const [list, { file, text }] of Object.entries(LISTS)) {
  const having = folders.filter((folder) => existsSync(join(root, folder, file)))
  const imports = having.map((folder, i) => `import * as m${i} from '../${folder}/${file}'\n`)
  const code = `// written by tools/op-lists.mjs from the folders beside it\n${imports.join('')}${text(having.map((_, i) => `m${i}`).join(', '))}`
  const path = join(root, 'generated', `${list}.ts`)
  if (!existsSync(path) || readFileSync(path, 'utf8') !== code) writeFileSync(path, code)
}
