/** A folder that a tracker has for a run: the one of its beginning where the run goes on. */
import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { isObject, readJsonObject, stringifyJson } from '../formats/json.ts'
import { exists, makeFolder, writeFileAtomic } from '../hub/files.ts'
import type { StartEvent } from './events.ts'

/** says in the folder whose it is */
const OWNER = 'saqr_run.json'

export interface RunFolder {
  path: string
  /** what was kept of it; null: it is new */
  kept: Readonly<Record<string, unknown>> | null
  keep(facts: Readonly<Record<string, unknown>>): void
}

/**
 * @param parent where the folders of a tracker's runs lie
 * @param name of a new one
 */
export function runFolder(parent: string, { run, doneSteps }: StartEvent, name: string): RunFolder {
  const before = doneSteps > 0 ? lastOf(parent, run) : undefined
  const path = join(parent, before ?? name)
  makeFolder(path)
  const keep = (facts: Readonly<Record<string, unknown>>) =>
    writeFileAtomic(join(path, OWNER), `${stringifyJson({ ...facts, run }, { indent: 2 })}\n`)
  if (before === undefined) keep({})
  return { path, kept: before === undefined ? null : factsOf(path), keep }
}

/** Runs that ended before their first checkpoint have the name of the one that began after them: the last is meant. */
function lastOf(parent: string, run: string): string | undefined {
  if (!exists(parent)) return undefined
  return readdirSync(parent)
    .filter((name) => factsOf(join(parent, name))?.run === run)
    .sort((a, b) => statSync(join(parent, a)).birthtimeMs - statSync(join(parent, b)).birthtimeMs)
    .at(-1)
}

function factsOf(folder: string): Record<string, unknown> | null {
  try {
    const facts = readJsonObject(join(folder, OWNER))
    return isObject(facts) ? facts : null
  } catch {
    return null // another program's folder
  }
}
