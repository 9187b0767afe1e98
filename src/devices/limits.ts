/** Limits are measured once a machine and kept in the user's cache: `saqr plan` answers at once. */
import { cpus } from 'node:os'
import { join } from 'node:path'
import { isObject } from '../formats/json.ts'
import { isFile, writeCacheFile } from '../hub/files.ts'
import { readJson } from '../hub/json.ts'
import { cacheFolder } from '../hub/places.ts'
import type { Limits } from './device.ts'

const known = new Map<string, Limits>()
const place = () => join(cacheFolder(), 'limits.json')

/** What a probe found. `rough`: with too little memory to be sure, so that the next start measures again. */
export type Measured = Limits & { rough?: true }

/**
 * @param label what the limits are of, beside this machine's processor: threads, variant, card
 * @param anew measure again, whatever is kept (the machine was busy then)
 */
export function limitsOf(label: string, measure: () => Measured, anew = false): Limits {
  const key = `${cpus()[0]?.model ?? process.arch} | ${label}`
  const kept = anew ? undefined : (known.get(key) ?? read()[key])
  if (kept) return kept
  const { rough, ...limits } = measure()
  known.set(key, limits)
  if (!rough) save({ ...read(), [key]: limits })
  return limits
}

function read(): Record<string, Limits> {
  try {
    const path = place()
    const json = isFile(path) ? readJson(path) : {}
    return isObject(json) ? (Object.fromEntries(Object.entries(json).filter(([, l]) => isLimits(l))) as Record<string, Limits>) : {}
  } catch {
    return {} // a damaged cache is measured again
  }
}

function isLimits(value: unknown): value is Limits {
  return isObject(value) && ['f32', 'bf16', 'copy'].every((key) => typeof value[key] === 'number' && (value[key] as number) > 0)
}

function save(all: Record<string, Limits>): void {
  try {
    writeCacheFile(place(), `${JSON.stringify(all, null, 2)}\n`)
  } catch {
    // a cache that can't be written only costs the next measurement
  }
}
