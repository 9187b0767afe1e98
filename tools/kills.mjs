// Trainings that are killed, and what they leave.
import { spawn } from 'node:child_process'
import { existsSync, openSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

/** Begins it, and ends it without a word once the folder is there; before, `meanwhile` sees it stopped. */
export async function killed(command, cwd, env, checkpoint, meanwhile) {
  const out = openSync(join(cwd, 'killed.log'), 'w')
  const child = spawn(command[0], command.slice(1), { cwd, stdio: ['ignore', out, out], env: { ...process.env, ...env } })
  let ended = false
  child.on('exit', () => {
    ended = true
  })
  while (!existsSync(checkpoint) && !ended) await new Promise((done) => setTimeout(done, 20))
  if (ended) throw new Error('the training ended before it could be killed')
  try {
    if (meanwhile) {
      child.kill('SIGSTOP')
      meanwhile()
    }
  } finally {
    child.kill('SIGKILL')
  }
  while (!ended) await new Promise((done) => setTimeout(done, 20))
}

/**
 * @param {string} whole folder of a training that nobody killed
 * @param {string} parts folder of one that was
 * @param {string[]} files in both
 * @returns {number} how many bytes they are
 * @throws Error where one is not the same
 */
export function sameBytes(whole, parts, files) {
  const both = files.map((file) => ({ file, bytes: [whole, parts].map((folder) => readFileSync(join(folder, file))) }))
  const others = both.filter(({ bytes: [a, b] }) => !a.equals(b)).map(({ file }) => file)
  if (others.length > 0) throw new Error(`the training that was killed and resumed left another ${others.join(', ')}`)
  return both.reduce((sum, { bytes: [a] }) => sum + a.length, 0)
}
