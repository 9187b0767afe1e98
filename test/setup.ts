/** Files of tests share a process: what one makes of the environment is undone before the next. */
import { afterAll } from 'vitest'

const [before, folder] = [{ ...process.env }, process.cwd()]

afterAll(() => {
  for (const name of Object.keys(process.env)) if (!(name in before)) delete process.env[name]
  Object.assign(process.env, before)
  if (process.cwd() !== folder) process.chdir(folder)
})
