/** Whether the rows of files fit in memory: said before any is read, and of what is packed with gzip while it is unpacked. Of Parquet only its packed size counts. */
import { statSync } from 'node:fs'
import { getHeapStatistics } from 'node:v8'
import { SaqrError } from '../error.ts'
import type { Dataset } from './dataset.ts'

/** of the heap, for the text of rows: a process with 2 GB of Alpaca's holds 1.8 times that (bench/results/rows-stream.txt), and the engine ends the process where it has no more */
const SHARE = 0.5

const shown = (bytes: number) => `${(bytes / 1e9).toFixed(1)} GB`

/** Of all files whose rows are in memory at the same time: those of a load, and of the loads of one run (to train on, to evaluate on, a mixture's parts). */
export class Room {
  /** files by their paths, as they were read for a run that changes no row of them */
  readonly whole = { inMemory: new Map<string, Dataset>(), onDisk: new Map<string, Dataset>() }
  readonly #limit: number
  #files = 0
  #bytes = 0

  /** @throws SaqrError DATA_TOO_LARGE */
  constructor(paths: readonly string[] = [], limit = SHARE * getHeapStatistics().heap_size_limit) {
    this.#limit = limit
    this.add(paths)
  }

  /** Files that are read next. @throws SaqrError DATA_TOO_LARGE */
  add(paths: readonly string[]): void {
    const before = this.#bytes
    const bytes = paths.reduce((sum, path) => sum + sizeOf(path), 0)
    this.#bytes += bytes
    this.#files += paths.length
    if (this.#bytes <= this.#limit || paths.length === 0) return
    const [first] = paths
    const have = paths.length === 1 ? `${first} has ${shown(bytes)}` : `${first} and ${paths.length - 1} more have ${shown(bytes)} together`
    throw this.#refused(before === 0 ? have : `${have}, and the rows that are read with it ${shown(before)}`)
  }

  /** What a packed file has beyond its own size. @throws SaqrError DATA_TOO_LARGE */
  unpack(path: string): (bytes: number) => void {
    let left = sizeOf(path)
    return (bytes) => {
      const counted = Math.min(left, bytes)
      left -= counted
      this.#bytes += bytes - counted
      if (this.#bytes <= this.#limit) return
      const others = this.#files > 1 ? ` and what is read with it` : ''
      throw this.#refused(`${path}${others} has more than ${shown(this.#limit)} unpacked`)
    }
  }

  #refused(what: string): SaqrError {
    return new SaqrError(
      'DATA_TOO_LARGE',
      `${what}, more rows than memory takes: Node's heap has ${shown(getHeapStatistics().heap_size_limit)}, and rows take twice their text. Leave them on disk (streaming: true; on the command line --dataset_streaming), or give Node more (NODE_OPTIONS=--max-old-space-size=MEGABYTES).`,
    )
  }
}

/** one that isn't there is told by who reads it */
const sizeOf = (path: string) => statSync(path, { throwIfNoEntry: false })?.size ?? 0
