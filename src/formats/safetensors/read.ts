/** Opens safetensors files: one, or the shards that an index names. Only headers are read; tensors stay in their files. */
import { dirname, join } from 'node:path'
import { SaqrError } from '../../error.ts'
import { isFile, readExactly, withFile } from '../files.ts'
import { isObject, readJsonObject, show } from '../json.ts'
import { headerLength, parseHeader, type SafetensorsEntry, type SafetensorsHeader } from './header.ts'

export type { SafetensorsEntry, SafetensorsHeader } from './header.ts'

/** Reads and checks the header. Errors: FORMAT_SAFETENSORS, FORMAT_NOT_FOUND. */
export function readSafetensors(path: string): SafetensorsHeader {
  return withFile(path, (fd, size) => {
    const length = headerLength(readExactly(fd, path, 0, Math.min(8, size)), size, path)
    return parseHeader(readExactly(fd, path, 8, length), size, path)
  })
}

export type ShardedEntry = SafetensorsEntry & { path: string }

/**
 * All tensors of the shards that `model.safetensors.index.json` names. Index and shards must say the same, so that a shard
 * from another download is noticed. Errors: FORMAT_SAFETENSORS_INDEX, FORMAT_SHARD_MISSING and those of `readSafetensors`.
 */
export function readShards(indexPath: string): Map<string, ShardedEntry> {
  const { weight_map: weightMap } = readJsonObject(indexPath)
  if (!isObject(weightMap) || Object.keys(weightMap).length === 0) throw badIndex(indexPath, 'has no "weight_map"')
  const namesOf = new Map<string, Set<string>>()
  for (const [name, shard] of Object.entries(weightMap)) {
    if (name === '__proto__') throw badIndex(indexPath, 'names a tensor __proto__')
    if (typeof shard !== 'string' || !/^[^/\\:\0]+\.safetensors$/.test(shard) || shard.startsWith('.')) {
      throw badIndex(indexPath, `puts ${show(name)} into ${show(shard)}, which is no plain file name ending in .safetensors`)
    }
    const names = namesOf.get(shard) ?? new Set()
    namesOf.set(shard, names.add(name))
  }
  const missing = [...namesOf.keys()].filter((shard) => !isFile(join(dirname(indexPath), shard)))
  if (missing.length > 0) {
    throw new SaqrError(
      'FORMAT_SHARD_MISSING',
      `${indexPath} names ${missing.length} of ${namesOf.size} shards that are not there: ${missing.slice(0, 4).join(', ')}${missing.length > 4 ? ' …' : ''}. Fetch them into the same folder.`,
    )
  }
  const tensors = new Map<string, ShardedEntry>()
  for (const [shard, names] of namesOf) {
    const path = join(dirname(indexPath), shard)
    const header = readSafetensors(path)
    for (const [name, entry] of header.tensors) {
      if (!names.delete(name)) throw badIndex(indexPath, `knows nothing of ${name} in ${shard}, or puts it elsewhere`)
      tensors.set(name, { ...entry, path })
    }
    const absent = names.values().next().value
    if (absent !== undefined) throw badIndex(indexPath, `puts ${absent} into ${shard}, which does not hold it`)
  }
  return tensors
}

function badIndex(path: string, what: string): SaqrError {
  return new SaqrError('FORMAT_SAFETENSORS_INDEX', `${path} can't be used: it ${what}. Fetch the index and its shards again.`)
}
