/** Names of files, jobs and events: a kind and random letters. None of them is ever made a path of but those that were made here. */
import { createHash, randomBytes } from 'node:crypto'

const LETTERS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789'

/** 24 letters of 62: 142 bits */
const written = (bytes: Uint8Array): string => [...bytes.subarray(0, 24)].map((byte) => LETTERS[byte % LETTERS.length]).join('')

export const newId = (kind: 'file' | 'ftjob' | 'ftevent'): string => `${kind}-${written(randomBytes(24))}`

/** The same for the same job and what of it is named: what is done again after a kill is not there twice. */
export function idOf(kind: 'file' | 'ftckpt', job: string, part: string): string {
  return `${kind}${kind === 'ftckpt' ? '_' : '-'}${written(createHash('sha256').update(`${job} ${part}`).digest())}`
}

/** what a folder of the store may be called */
export const isId = (name: string, kind: 'file' | 'ftjob'): boolean => new RegExp(`^${kind}-[A-Za-z0-9]{24}$`).test(name)
