/** What Node's permission model denies, in a process that has it. */
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { expect, it } from 'vitest'

const flag = process.allowedNodeEnvironmentFlags.has('--permission') ? '--permission' : '--experimental-permission'
/** what the script prints in a process that may only read */
const said = (script: string) =>
  spawnSync(process.execPath, [flag, '--allow-fs-read=*', '--no-warnings', '--input-type=module', '-e', script], {
    cwd: join(import.meta.dirname, '../..'),
    encoding: 'utf8',
  }).stdout.trim()

it('a file that may not be written to is told by the permission, with all that saqr asks for', () => {
  const script = `import { writeFileSync } from 'node:fs'
const { fileError } = await import('./dist/hub/files.js')
try { writeFileSync('/a-file', 'x') } catch (cause) { const { code, message } = fileError(cause, '/a-file', 'write'); console.log(code, message) }`
  expect(said(script)).toMatch(/^RUNTIME_PERMISSION .*FileSystemWrite.*saqr runs with --allow-addons .*--allow-fs-write/)
})

it('Node 20 with permissions, which flushes no file, is refused before anything is trained', () => {
  const script = `const { requireFlushes } = await import('./dist/hub/permission.js')
try { requireFlushes(); console.log('runs') } catch ({ code, message }) { console.log(code, message) }`
  const is20 = process.versions.node.startsWith('20.')
  expect(said(script)).toMatch(is20 ? /^RUNTIME_PERMISSION Node 20 .*run Node 22 or later/ : /^runs$/)
})
