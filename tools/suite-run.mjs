#!/usr/bin/env node
// Runs the files of tests of a folder that tools/suite.mjs made, each by a vitest of its own whose tests run in that folder's bin/node: another
// processor's Node under an emulator. Vitest itself, which compiles TypeScript, runs in the Node that runs this.
//   node tools/suite-run.mjs FOLDER --out DIR [--jobs N] [--limit SECONDS] [--shard I/N] [FILE …]
// DIR gets NAME.json (file, commit, result, tests passed, failed and skipped, seconds, what failed) and NAME.log of each; a file that has its NAME.json is
// not run again. Without FILE: all of them, by what FOLDER/suite.json says of each. Exit code 1: something failed.
import { spawn } from 'node:child_process'
import {
  closeSync,
  existsSync,
  linkSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'

/**
 * @param folder of tools/suite.mjs
 * @param out where results go
 * @param files below test/
 * @param jobs at once
 * @param limit seconds of a file
 * @param said told each result as it comes
 * @returns the results of all of these files, those of before too that are of this commit
 */
export async function runFiles(folder, out, files, { jobs = 1, limit = 900, said = () => {} } = {}) {
  mkdirSync(out, { recursive: true })
  settle(folder)
  const { commit } = JSON.parse(readFileSync(join(folder, 'suite.json'), 'utf8'))
  // of another commit, or of one with changes, which may be others by now, a result says nothing of this one
  const isOf = ({ commit: of }) => of === commit && !commit.endsWith('-dirty')
  const waiting = files.filter((file) => !resultsIn(out, [file]).some(isOf))
  const worker = async () => {
    for (let file = waiting.shift(); file; file = waiting.shift()) said(await runFile(folder, out, file, limit, commit))
  }
  await Promise.all(Array.from({ length: jobs }, worker))
  return resultsIn(out, files)
}

/** of those of these files that have one */
export const resultsIn = (out, files) =>
  files
    .map((file) => join(out, `${nameOf(file)}.json`))
    .filter(existsSync)
    .map((path) => JSON.parse(readFileSync(path, 'utf8')))

/** where the folder stands now, QEMU reads bin/node as the program that it begins; and its tests are given time, once */
function settle(folder) {
  const link = join(folder, 'root', realpathSync(folder), 'bin/node')
  mkdirSync(dirname(link), { recursive: true })
  rmSync(link, { force: true })
  linkSync(join(folder, 'bin/program'), link)
  if (existsSync(join(folder, 'patient'))) return
  const tests = readdirSync(join(folder, 'saqr/test'), { recursive: true }).filter((name) => name.endsWith('.test.ts'))
  for (const file of ['vitest.config.ts', ...tests.map((name) => join('test', name))]) patient(join(folder, 'saqr', file))
  writeFileSync(join(folder, 'patient'), '')
}

/** Minutes that tests allow themselves, thirty times as many: an emulated processor takes ten times as long and more. */
function patient(path) {
  const text = readFileSync(path, 'utf8')
  writeFileSync(
    path,
    text.replace(/(imeout: |\}, )(\d+)(_000\b)/g, (_, before, seconds, thousand) => `${before}${30 * seconds}${thousand}`),
  )
}

const nameOf = (file) => file.replaceAll('/', '-').replace(/\.test\.ts$/, '')

/** what is ended with this process */
const running = new Set()
const end = ({ pid }) => process.kill(-pid, 'SIGKILL')
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'])
  process.once(signal, () => {
    running.forEach(end)
    process.exit(1)
  })

async function runFile(folder, out, file, limit, commit) {
  const [name, bin, saqr] = [nameOf(file), join(folder, 'bin'), join(folder, 'saqr')]
  const report = join(out, `${name}.vitest`)
  const log = openSync(join(out, `${name}.log`), 'w')
  const temporary = join(out, `${name}.tmp`)
  mkdirSync(temporary, { recursive: true })
  // vitest starts its workers by process.execPath
  const vitest = ['--require', join(bin, 'as-node.cjs'), join(saqr, 'node_modules/vitest/vitest.mjs'), 'run', `test/${file}`]
  const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${report}`, '--experimental.fsModuleCache']
  const began = performance.now()
  const child = spawn(process.execPath, [...vitest, ...reporters, '--maxWorkers', '1'], {
    cwd: saqr,
    stdio: ['ignore', log, log],
    detached: true, // a process group, to be ended whole
    env: { ...process.env, PATH: `${bin}:${process.env.PATH}`, TMPDIR: temporary },
  })
  closeSync(log)
  running.add(child)
  let late = false
  const clock = setTimeout(() => {
    late = true
    end(child)
  }, limit * 1e3)
  const ended = await new Promise((done) => child.on('exit', (code, signal) => done(signal ?? code)))
  clearTimeout(clock)
  running.delete(child)
  rmSync(temporary, { recursive: true, force: true })
  const result = { file, commit, ...resultOf(report, late, ended), seconds: Math.round((performance.now() - began) / 1e3) }
  const path = join(out, `${name}.json`)
  writeFileSync(`${path}.part`, `${JSON.stringify(result, null, 1)}\n`)
  renameSync(`${path}.part`, path)
  return result
}

function resultOf(report, late, ended) {
  if (late || !existsSync(report))
    return { result: late ? 'late' : 'died', passed: 0, failed: 0, skipped: 0, failures: [`ended with ${ended}`] }
  const { testResults, numPassedTests: passed, numFailedTests: failed, numPendingTests: skipped } = JSON.parse(readFileSync(report, 'utf8'))
  const ofTests = testResults.flatMap(({ assertionResults }) => assertionResults.filter(({ status }) => status === 'failed'))
  const failures = [
    ...ofTests.map(({ fullName, failureMessages }) => `${fullName}: ${failureMessages.join('; ').slice(0, 2000)}`),
    ...testResults
      .filter(({ status, assertionResults }) => status === 'failed' && assertionResults.length === 0)
      .map(({ message }) => message.slice(0, 2000)),
  ]
  // vitest gives a worker a minute to begin
  if (passed + failed + skipped === 0 && failures.length === 0) failures.push('no test began: its log says more')
  return { result: ended === 0 ? 'passed' : 'failed', passed, failed, skipped, failures }
}

/** What a shard of the files is: every n-th, so that long and short ones are in each. */
export function shardOf(files, shard) {
  if (!shard) return files
  const [, i, n] = /^(\d+)\/(\d+)$/.exec(shard) ?? []
  if (!(Number(i) >= 1 && Number(i) <= Number(n))) throw new Error(`--shard ${shard}: I/N, where I is 1 to N`)
  return files.filter((_, at) => at % Number(n) === Number(i) - 1)
}

/** of a result, in a line */
export const lineOf = ({ file, result, passed, failed, skipped, seconds }) =>
  `${result === 'passed' ? 'ok  ' : 'FAIL'} ${file}: ${result}, ${passed} passed, ${failed} failed, ${skipped} skipped, ${seconds} s`

if (process.argv[1] && resolve(process.argv[1]) === fileURLToPath(import.meta.url)) {
  const { values, positionals } = parseArgs({
    options: {
      out: { type: 'string' },
      jobs: { type: 'string', default: '1' },
      limit: { type: 'string', default: '900' },
      shard: { type: 'string' },
    },
    allowPositionals: true,
  })
  const [folder, ...named] = positionals
  if (!folder || !values.out) {
    console.error('Usage: node tools/suite-run.mjs FOLDER --out DIR [--jobs N] [--limit SECONDS] [--shard I/N] [FILE …]')
    process.exit(1)
  }
  const files = named.length > 0 ? named : JSON.parse(readFileSync(join(folder, 'suite.json'), 'utf8')).files
  const asked = { jobs: Number(values.jobs), limit: Number(values.limit), said: (result) => console.log(lineOf(result)) }
  const results = await runFiles(realpathSync(folder), resolve(values.out), shardOf(files, values.shard), asked)
  const sum = (key) => results.reduce((total, result) => total + result[key], 0)
  const failed = results.filter(({ result }) => result !== 'passed')
  console.log(
    `${results.length - failed.length} of ${results.length} files passed; tests: ${sum('passed')} passed, ${sum('failed')} failed, ${sum('skipped')} skipped`,
  )
  if (failed.length > 0) process.exitCode = 1
}
