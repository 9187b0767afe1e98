/** A thread that makes rows (row-threads.ts), as long as it is asked. */
import { parentPort, workerData } from 'node:worker_threads'
import { Tokenizer } from '../text/tokenizer.ts'
import { carriedRow } from './carried-row.ts'
import type { Asked, ThreadStart } from './row-threads.ts'
import { makerOf } from './row-work.ts'
import type { Row } from './rows.ts'

const { work, files, modelType, special, fingerprint } = workerData as ThreadStart
const tokenizer = new Tokenizer(JSON.parse(files), { modelType })
tokenizer.special = special
const now = work.kind === 'texts' ? work.settings.now : work.now
if (tokenizer.fingerprint(now) !== fingerprint) throw new Error('its tokenizer is another one')
const make = makerOf(work, tokenizer)

function made(row: Row | string | null, where: string) {
  if (row === null) return null
  try {
    return make(carriedRow(row), where)
  } catch {
    return null // who asked makes it again, and has the error itself
  }
}

parentPort!.on('message', ({ id, rows, wheres }: Asked) => {
  parentPort!.postMessage({ id, made: rows.map((row, i) => made(row, wheres[i]!)) })
})
parentPort!.postMessage('ready')
