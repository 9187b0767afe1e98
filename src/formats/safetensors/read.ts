/** Opens safetensors files: one, or the shards that an index names. Only headers are read; tensors stay in their files. */
import { basename, dirname, join } from 'node:path'
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
 * All tensors of the shards that `model.safetensors.index.json` names. The index says which files there are, the files say what is in them
 * (as transformers reads them). Errors: FORMAT_SAFETENSORS_INDEX, FORMAT_SHARD_MISSING and those of `readSafetensors`.
 */
export function readShards(indexPath: string): Map<string, ShardedEntry> {
  const { weight_map: weightMap } = readJsonObject(indexPath)
  if (!isObject(weightMap) || Object.keys(weightMap).length === 0) throw badIndex(indexPath, 'has no "weight_map"')
  const shards = new Set<string>()
  for (const [name, shard] of Object.entries(weightMap)) {
    if (typeof shard !== 'string' || !/^[^/\\:\0]+\.safetensors$/.test(shard) || shard.startsWith('.')) {
      throw badIndex(indexPath, `puts ${show(name)} into ${show(shard)}, which is no plain file name ending in .safetensors`)
    }
    shards.add(shard)
  }
  const missing = [...shards].filter((shard) => !isFile(join(dirname(indexPath), shard)))
  if (missing.length > 0) {
    throw new SaqrError(
      'FORMAT_SHARD_MISSING',
      `${indexPath} names ${missing.length} of ${shards.size} shards that are not there: ${missing.slice(0, 4).join(', ')}${missing.length > 4 ? ' …' : ''}. Fetch them into the same folder.`,
    )
  }
  const tensors = new Map<string, ShardedEntry>()
  for (const shard of shards) {
    const path = join(dirname(indexPath), shard)
    for (const [name, entry] of readSafetensors(path).tensors) {
      const other = tensors.get(name)
      if (other)
        throw badIndex(indexPath, `names ${basename(other.path)} and ${shard}, which both hold ${name}: they are of different downloads`)
      tensors.set(name, { ...entry, path })
    }
  }
  return tensors
}

function badIndex(path: string, what: string): SaqrError {
  return new SaqrError('FORMAT_SAFETENSORS_INDEX', `${path} can't be used: it ${what}. Fetch the index and its shards again.`)
}
