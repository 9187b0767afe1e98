/** Where a whole model may be saved: what was saved must be what opens there, and the base must stay what its adapters were made over. */
import { existsSync, realpathSync } from 'node:fs'
import { join } from 'node:path'
import { SaqrError } from '../error.ts'
import type { OpenedModel } from './opened-model.ts'

/** Asked before anything is trained or written. @throws SaqrError FORMAT_FILE naming what is in the way */
export function checkModelFolder({ checkpoint }: OpenedModel, folder: string): void {
  if (!existsSync(folder)) return
  if (realpathSync(folder) === realpathSync(checkpoint.path)) {
    throw new SaqrError(
      'FORMAT_FILE',
      `${folder} is the folder of the model that is open: its adapters, and what is read of it from now on, need it as it is. Save into another folder.`,
    )
  }
  if (existsSync(join(folder, 'adapter_config.json'))) {
    throw new SaqrError(
      'FORMAT_FILE',
      `${folder} holds an adapter (adapter_config.json), which would be opened instead of a whole model saved there. Take another folder, or move the adapter.`,
    )
  }
}
