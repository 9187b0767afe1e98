/** The models that jobs made. */
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { isFolder } from '../hub/files.ts'
import { PLACES } from './messages.ts'
import { hasEnded } from './objects.ts'
import type { JobRecord } from './record.ts'

export interface Made {
  folder: string
  /** seconds since 1970 */
  created: number
  /** path or Hub id of the model that the first of the jobs behind it began with */
  first: string
}

/** By name: what came out of jobs, and of their last epochs. */
export function modelsOf(records: readonly JobRecord[]): Map<string, Made> {
  const found = new Map<string, Made>()
  for (const { folder, saved } of records) {
    const { first, job, checkpoints, deleted } = saved
    const add = (name: string, place: string, created: number) => {
      if (!deleted.includes(name)) found.set(name, { folder: join(folder, place), created, first })
    }
    if (job.status === 'succeeded') add(job.fine_tuned_model!, PLACES.model, job.finished_at!)
    for (const one of checkpoints) add(one.fine_tuned_model_checkpoint, PLACES.checkpoint(one.step_number), one.created_at)
  }
  return found
}

/** The job that what lies there came out of, where it is one's. */
export function makerOf(folder: string, records: readonly JobRecord[]): JobRecord | undefined {
  return records.find((one) => folder.startsWith(join(one.folder, '/')))
}

/** A job that has yet to begin, or end, from the model that lies there: while there is one, the model stays. */
export function userOf(folder: string, records: readonly JobRecord[]): JobRecord | undefined {
  return records.find(({ saved }) => saved.base === folder && !hasEnded(saved.job))
}

/** Models of epochs that newer ones took the place of are removed, once no job needs them. */
export function sweepCheckpoints(record: JobRecord, records: readonly JobRecord[]): void {
  const [oldest] = record.saved.checkpoints
  const within = join(record.folder, PLACES.checkpoints)
  if (oldest === undefined || !isFolder(within)) return
  for (const name of readdirSync(within)) {
    const step = Number(/^step-(\d+)$/.exec(name)?.[1] ?? Number.NaN)
    const place = PLACES.checkpoint(step)
    if (step < oldest.step_number && !userOf(join(record.folder, place), records)) record.remove(place)
  }
}
