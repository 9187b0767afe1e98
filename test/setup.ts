/** Files of tests share a process: what one makes of the environment is undone before the next. */
import { afterAll } from 'vitest'

// A worker whose vitest was killed would go on to the end of its file. What it started by fork() ends with it.
const leave = () => process.exit(1)
if (!process.listeners('disconnect').some(({ name }) => name === leave.name)) process.on('disconnect', leave)

const [before, folder] = [{ ...process.env }, process.cwd()]

afterAll(() => {
  for (const name of Object.keys(process.env)) if (!(name in before)) delete process.env[name]
  Object.assign(process.env, before)
  if (process.cwd() !== folder) process.chdir(folder)
})
