/** The jobs that `saqr serve` takes over what it serves. */
import { resolve } from 'node:path'
import type { OpenedModel } from '../engine/opened-model.ts'
import { option, SaqrError, say } from '../error.ts'
import { isFile, isFolder } from '../hub/files.ts'
import type { JobEngine, Trainable } from '../jobs/engine.ts'
import type { ServedJobs } from '../serve/server.ts'
import { sizeInBytes } from '../train/options/schemas.ts'
import { chatTemplate } from './load.ts'

export interface JobOptions {
  jobMemory: string | number | null
  device: string
  useCpu: boolean
  threads: number | null
  modelRevision: string
  eosToken: string | null
  chatTemplatePath: string | null
}

/** Of what is free, unless an option says otherwise. */
const SHARE = 0.5

/**
 * What the server has to know of the jobs of a folder, and how they start.
 * @param models what is served, by name: Hub ids, folders, files
 * @throws SaqrError OPTION_INVALID for more memory than there is
 */
export async function jobsOver(
  engine: JobEngine,
  models: ReadonlyMap<string, string>,
  opened: OpenedModel,
  options: JobOptions,
  signal: AbortSignal,
  open: ServedJobs['open'],
): Promise<ServedJobs & { start(): void; told: string }> {
  const { jobMemory, device, useCpu, threads, eosToken, chatTemplatePath } = options
  const free = opened.device.free()
  const memory = jobMemory === null ? Math.floor(SHARE * free) : sizeInBytes(jobMemory)!
  const said = (bytes: number) => `${(bytes / 1e9).toFixed(1)} GB`
  if (memory > free)
    throw new SaqrError('OPTION_INVALID', say`${option('jobMemory')} ${jobMemory}: ${said(free)} are free beside the model that is served`)
  const revision = options.modelRevision === 'main' ? null : options.modelRevision
  const trainable = new Map([...models].map(([name, path]) => [name, trainableOf(path, revision)]))
  const base = {
    device: useCpu ? 'cpu' : device,
    threads,
    choice: opened.choice,
    eosToken,
    chatTemplate: chatTemplatePath === null ? null : await chatTemplate(chatTemplatePath, signal),
  }
  return {
    engine,
    firsts: [...trainable.values()].map(({ path }) => path),
    reserved: memory,
    open,
    start: () => engine.start({ models: trainable, base, memory }),
    told: `one at a time, in ${said(memory)} of memory`,
  }
}

/** A job goes on wherever the server is started again. */
function trainableOf(path: string, revision: string | null): Trainable {
  return isFile(path) || isFolder(path) ? { path: resolve(path), revision: null } : { path, revision }
}
