/**
 * What a config.json means: the keys that its family reads to make the model of, each with what it comes to. Files that differ in anything else
 * (who wrote them, what a default is said or left out, an older name of the same) mean the same model.
 */
import type { Json } from './config.ts'
import { type Meaning, readBy } from './meant.ts'
import { familyOf } from './registry.ts'

/** @throws SaqrError those of `openConfig` */
export function meaningOf(config: Json): Json {
  const family = familyOf(config)
  const { json, read } = readBy(config)
  family.open(json)
  return { model_type: family.modelType, ...plain(read) }
}

/** an object is what of it was read */
function plain({ values, instead }: Meaning): Json {
  return Object.fromEntries(
    [...values].flatMap(([key, value]) =>
      value === undefined || instead.has(key) ? [] : [[key, isMeaning(value) ? plain(value) : value]],
    ),
  )
}

const isMeaning = (value: unknown): value is Meaning => typeof value === 'object' && value !== null && 'instead' in value
