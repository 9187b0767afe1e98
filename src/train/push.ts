/** push_to_hub: what a run leaves in its folder, uploaded when it has ended. */
import { basename, resolve } from 'node:path'
import { openRepository, type Pushed, type PushOptions, pushFolder } from '../hub/push.ts'
import type { CommonOptions } from './options/common-config.ts'

type Asked = Pick<CommonOptions, 'hubModelId' | 'hubToken' | 'hubPrivateRepo' | 'hubRevision'>

const repoOf = ({ hubModelId }: Asked, outputDir: string) => hubModelId ?? basename(resolve(outputDir))

function optionsOf({ hubToken, hubPrivateRepo, hubRevision }: Asked, more: PushOptions): PushOptions {
  return {
    ...(hubToken !== null && { token: hubToken }),
    ...(hubPrivateRepo !== null && { private: hubPrivateRepo }),
    ...(hubRevision !== null && { revision: hubRevision }),
    ...more,
  }
}

/** Before a run: a token that may not write is told then. @throws SaqrError HUB_… */
export async function openHub(o: Asked & Pick<CommonOptions, 'pushToHub'>, outputDir: string, more: PushOptions = {}): Promise<void> {
  if (o.pushToHub) await openRepository(repoOf(o, outputDir), optionsOf(o, more))
}

/** @throws SaqrError HUB_…; what was trained lies in the folder all the same */
export async function pushRun(o: Asked, outputDir: string, more: PushOptions = {}): Promise<Pushed> {
  return await pushFolder(outputDir, repoOf(o, outputDir), optionsOf(o, { commitMessage: 'End of training', ...more }))
}
