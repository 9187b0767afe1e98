/** Answers as a table of W&B's: a file of the run, and what a line of its history says of it. */
import { createHash } from 'node:crypto'
import { join } from 'node:path'
import { isObject } from '../../formats/json.ts'
import { growingFile } from '../append.ts'
import type { AnswersEvent } from '../events.ts'
import type { Values } from './records.ts'

/** its name among the run's values */
export const ANSWERS = 'eval/answers'

/** What wandb writes of a Table that is logged, but for the artifact it makes of the same file. */
export interface TableFile {
  _type: 'table-file'
  /** below the run's files */
  path: string
  sha256: string
  /** bytes */
  size: number
  ncols: number
  nrows: number
  log_mode: 'IMMUTABLE'
}

/** where a run's files lie, below its folder */
export const fileOf = (folder: string, path: string): string => join(folder, 'files', ...path.split('/'))

/** @param line of the history. @throws SaqrError TRAIN_LOG where it can't be written */
export function writeTable(folder: string, line: number, { step, answers }: AnswersEvent): TableFile {
  const columns = ['step', 'prompt', 'answer', 'ending']
  const data = answers.map(({ prompt, answer, ending }) => [step, prompt, answer, ending])
  // a surrogate alone is escaped: the file is UTF-8
  const content = Buffer.from(JSON.stringify({ columns, data }))
  const sha256 = createHash('sha256').update(content).digest('hex')
  const path = `media/table/${ANSWERS}_${line}_${sha256.slice(0, 20)}.table.json`
  const file = growingFile(fileOf(folder, path), 'wandb', 0)
  file.write(content)
  file.close()
  return { _type: 'table-file', path, sha256, size: content.length, ncols: columns.length, nrows: data.length, log_mode: 'IMMUTABLE' }
}

/** paths of the tables that a line of the history speaks of */
export const tablesOf = (values: Values): string[] =>
  Object.values(values).flatMap((value) => (isObject(value) && value._type === 'table-file' ? [String(value.path)] : []))
