/** Models and rows for `bench:cuda`: both sides read the same weights and the same ids. */
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { BASELINE } from './cuda-baseline.ts'
import { COUNTED, type CudaCase, SIZES, WARM_UP } from './cuda-cases.ts'
import { writeIdsTokenizer } from './ids-tokenizer.ts'

const ROWS = 'alpaca-llama3-tokens.json'

export class Models {
  readonly #folder: string
  readonly #work: string
  readonly #baseline: { program: string; python: string } | null

  /** @param work folder for what this run makes. @param baseline its `setup` makes what isn't there; its folder has the rows */
  constructor(folder: string, work: string, baseline: { program: string; python: string } | null) {
    this.#folder = folder
    this.#work = work
    this.#baseline = baseline
  }

  /** Makes what these cases need and isn't there. */
  prepare(cases: readonly CudaCase[]): void {
    for (const size of new Set(cases.map((c) => c.size))) this.#has(size, [this.#baseline?.program ?? '', 'setup', size])
    const nf4 = new Set(cases.filter(hasFiles).map((c) => c.size))
    for (const size of nf4) this.#has(`${size}-nf4`, [BASELINE, 'nf4', join(this.#folder, size), join(this.#folder, `${size}-nf4`)])
    for (const vocab of new Set(cases.map(vocabOf))) {
      const same = cases.filter((c) => vocabOf(c) === vocab)
      const windows = new Set(same.flatMap(({ rows: r }) => (r.kind === 'windows' ? `${r.batch}x${r.tokens}` : [])))
      if (windows.size > 0) this.#drawWindows(vocab, [...windows])
    }
    for (const c of cases) {
      const seen = this.folder(c)
      if (existsSync(seen)) continue
      // the same files beside a tokenizer: rows of ids need one only to say which ids there are
      mkdirSync(seen)
      const from = join(this.#folder, hasFiles(c) ? `${c.size}-nf4` : c.size)
      for (const file of readdirSync(from)) if (!/^tokenizer|special_tokens/.test(file)) symlinkSync(join(from, file), join(seen, file))
      writeIdsTokenizer(seen, vocabOf(c))
    }
  }

  /** as saqr opens it */
  folder(c: CudaCase): string {
    return join(this.#work, `${c.size}-${c.weights}`)
  }

  /** JSON file with the case's rows, a step's one after the other */
  rows(c: CudaCase): string {
    const [r, vocab] = [c.rows, vocabOf(c)]
    const path = join(this.#work, `rows-${vocab}-${Object.values(r).join('-')}.json`)
    if (existsSync(path)) return path
    if (r.kind === 'alpaca') {
      const all = JSON.parse(readFileSync(this.#alpacaFile(), 'utf8')) as [number, number[]][]
      const count = (WARM_UP + COUNTED.alpaca) * r.batch * r.accumulation
      const system = Array.from({ length: r.system ?? 0 }, (_, i) => 1000 + i)
      writeFileSync(path, JSON.stringify(all.slice(0, count).map(([, ids]) => [ids[0]!, ...system, ...ids.slice(1)])))
    } else if (r.kind === 'sizes') {
      const lengths = Array.from({ length: WARM_UP + COUNTED.sizes }, (_, step) => r.tokens - 128 * Math.floor(step / 3))
      writeFileSync(path, JSON.stringify(lengths.flatMap((n) => Array.from({ length: r.batch }, () => ids(n, vocab)))))
    } else {
      const drawn = JSON.parse(readFileSync(this.#windowsFile(vocab), 'utf8'))
      writeFileSync(path, JSON.stringify(drawn[`${r.batch}x${r.tokens}`]))
    }
    return path
  }

  #has(name: string, make: string[]): void {
    const path = join(this.#folder, name)
    if (existsSync(join(path, 'config.json'))) return
    if (!this.#baseline) throw new Error(`there is no ${path}: give --models the folder that has it, or --baseline to make it`)
    const began = Date.now()
    execFileSync(this.#baseline.python, make, { stdio: ['ignore', 'ignore', 'pipe'] })
    console.log(`made ${name} in ${((Date.now() - began) / 1e3).toFixed(0)} s`)
  }

  /** the baseline draws on the card, whose numbers are not to be had elsewhere */
  #drawWindows(vocab: number, cases: string[]): void {
    const path = this.#windowsFile(vocab)
    if (this.#baseline) {
      execFileSync(this.#baseline.python, [BASELINE, 'windows', String(vocab), path, ...cases], { stdio: ['ignore', 'ignore', 'pipe'] })
      return
    }
    const drawn = cases.map((name) => {
      const [batch, tokens] = name.split('x').map(Number) as [number, number]
      return [name, Array.from({ length: batch * (WARM_UP + COUNTED.windows) }, () => ids(tokens, vocab))]
    })
    writeFileSync(path, JSON.stringify(Object.fromEntries(drawn)))
  }

  #windowsFile(vocab: number): string {
    return join(this.#work, `windows-${vocab}.json`)
  }

  #alpacaFile(): string {
    if (!this.#baseline) throw new Error(`${ROWS} lies beside the baseline: give --baseline`)
    return join(dirname(this.#baseline.program), ROWS)
  }
}

const vocabOf = ({ size }: CudaCase) => SIZES[size].vocab
/** its 4-bit weights are files */
const hasFiles = ({ size, weights }: CudaCase) => weights === 'nf4' && !SIZES[size].onLoad

let state = 1
/** random ids; the same ones in every run */
function ids(n: number, vocab: number): number[] {
  return Array.from({ length: n }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return Math.floor((state / 2 ** 32) * vocab)
  })
}
