/**
 * A conversation with `saqr chat` in a terminal, as it was, as a picture:
 *   node --import ./tools/ts.mjs tools/chat-picture.ts MODEL docs/pictures/chat.svg "What is a creance?" /base "What is a creance?"
 * Each line is typed when the one before is answered. Needs `script` (util-linux), which makes the terminal.
 */
import { spawn } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { Screen } from './terminal-picture.ts'

const COLUMNS = 96
/** what is shown where a line is awaited: the mark, with the cursor behind it */
const AWAITED = '\x1b[1m>\x1b[22m \x1b[3G'

const [model, out, ...typed] = process.argv.slice(2)
if (model === undefined || out === undefined || typed.length === 0) {
  console.error('usage: chat-picture.ts MODEL PICTURE.svg LINE …')
  process.exit(2)
}
const root = dirname(import.meta.dirname)
const command = `stty cols ${COLUMNS} rows 40; exec "${process.execPath}" "${join(root, 'dist/cli/start.js')}" chat --model_name_or_path "${basename(model)}" --temperature 0`
const child = spawn('script', ['-qec', command, '/dev/null'], {
  cwd: dirname(model),
  stdio: ['pipe', 'pipe', 'inherit'],
  env: { ...process.env, TERM: 'xterm-256color', NO_COLOR: undefined },
})
const screen = new Screen(COLUMNS)
screen.write(`\x1b[1m$\x1b[22m npx saqr chat --model_name_or_path ${basename(model)} --temperature 0\r\n`)
let said = ''
const lines = [...typed]
child.stdout.setEncoding('utf8').on('data', (piece: string) => {
  said += piece
  if (!said.endsWith(AWAITED)) return
  screen.write(said)
  said = ''
  const line = lines.shift()
  child.stdin.write(line === undefined ? '\x04' : `${line}\r`)
})
child.on('close', (code) => {
  if (lines.length > 0 || code !== 0) {
    console.error(`saqr chat ended (${code}) before ${lines.length} lines were typed:\n${said}`)
    process.exit(1)
  }
  console.log(screen.text())
  writeFileSync(out, screen.svg(`saqr chat with ${basename(model)}`))
})
