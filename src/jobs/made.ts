/** The models that jobs made. */
import { join } from 'node:path'
import { PLACES } from './messages.ts'
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

/** the job that it came out of */
export function makerOf({ folder }: Made, records: readonly JobRecord[]): JobRecord {
  return records.find((one) => folder.startsWith(join(one.folder, '/')))!
}
