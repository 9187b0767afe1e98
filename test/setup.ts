/** Files of tests share a process: what one makes of the environment is undone before the next. */
import { afterAll, expect } from 'vitest'

// A worker whose vitest was killed would go on to the end of its file. What it started by fork() ends with it.
const leave = () => process.exit(1)
if (!process.listeners('disconnect').some(({ name }) => name === leave.name)) process.on('disconnect', leave)

// Another object in its place is not the system's environment: os.homedir() and native code would not see what is set there.
Object.defineProperty(process, 'env', { value: process.env, writable: false, enumerable: true, configurable: true })

const [before, folder] = [{ ...process.env }, process.cwd()]

afterAll(() => {
  for (const name of Object.keys(process.env)) if (!(name in before)) delete process.env[name]
  Object.assign(process.env, before)
  if (process.cwd() !== folder) process.chdir(folder)
})

/** Arrays of numbers that are the same to the byte are equal: element by element, vitest takes seconds for a few megabytes. Else it says where they differ. */
const ADDED = Symbol.for('saqr arrays to the byte')
if (!(ADDED in globalThis)) {
  expect.addEqualityTesters([(a: unknown, b: unknown) => (isSame(a, b) ? true : undefined)])
  Object.assign(globalThis, { [ADDED]: true }) // this file is run anew for each of a process's
}

function isSame(a: unknown, b: unknown): boolean {
  if (!ArrayBuffer.isView(a) || !ArrayBuffer.isView(b) || a.constructor !== b.constructor) return false
  const [ours, theirs] = [a, b].map(({ buffer, byteOffset, byteLength }) => Buffer.from(buffer, byteOffset, byteLength))
  return ours!.equals(theirs!)
}
