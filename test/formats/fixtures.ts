import { createHash } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'

/** What tools/oracle/formats.py recorded. */
export const fixture = (name: string): string => join(import.meta.dirname, '../fixtures/formats', name)

export const recorded = <T>(name: string): T => JSON.parse(readFileSync(fixture(name), 'utf8')) as T

export const digest = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')

/** A folder that is gone after the test. */
export function temporary(): string {
  const folder = mkdtempSync(join(tmpdir(), 'saqr-formats-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

/** The bytes of a safetensors file with this header, as given. */
export function safetensorsBytes(header: string, data: Uint8Array = new Uint8Array(0)): Buffer {
  const json = Buffer.from(header)
  const length = Buffer.alloc(8)
  length.writeBigUInt64LE(BigInt(json.length))
  return Buffer.concat([length, json, data])
}

/** Weights by integer arithmetic alone, as the oracle makes them. */
export function exactWeights(count: number): Float32Array {
  return Float32Array.from({ length: count }, (_, i) => ((Math.imul(i, 0x9e3779b1) >>> 8) - 2 ** 23) * 2 ** (-28 - (i % 5)))
}
