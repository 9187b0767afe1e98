/** Is the program that forked this one gone? What the system says of groups, and where it says nothing. The program here lives. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { expect, it } from 'vitest'
import { groupOf, parentGone } from '../../src/cli/parent.ts'

/** as the system tells it */
const told = (own: number, parent: number) => (pid: number) => (pid === process.pid ? own : parent)

it.skipIf(process.platform === 'win32')('is known by its group where both are known', async () => {
  expect(await parentGone(told(7, 8))).toBe(true)
  expect(await parentGone(told(process.pid, 8))).toBe(false) // detached: it is to outlive it
})

it.concurrent.each([
  ['the same group', 7, 7],
  ["the parent's is hidden", 7, Number.NaN],
  ['both are hidden', Number.NaN, Number.NaN],
  ['its own is hidden', Number.NaN, 8],
])('lives: %s', async (_, own, parent) => {
  expect(await parentGone(told(own, parent))).toBe(false)
})

it.skipIf(process.platform === 'win32')('a group is told of a process that is there, and of no other', async () => {
  const child = spawn(process.execPath, ['-e', 'process.stdin.resume()'], { detached: true, stdio: ['pipe', 'ignore', 'ignore'] })
  await once(child, 'spawn')
  const [pid, closed] = [child.pid!, once(child, 'close')]
  expect(groupOf(pid)).toBe(pid)
  child.stdin!.end()
  await closed
  expect(groupOf(pid)).toBeNaN()
})
