/** A script that a fork of a loaded Python runs is one that a Python of its own would run (tools/oracle/warm.py). */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, inject, it } from 'vitest'
import { warmPython } from './warm.ts'

const folder = mkdtempSync(join(tmpdir(), 'saqr-warm-'))
afterAll(() => rmSync(folder, { recursive: true }))

const write = (name: string, text: string) => {
  writeFileSync(join(folder, name), text)
  return join(folder, name)
}
const run = (script: string, env: NodeJS.ProcessEnv = {}) => {
  const { status, stdout, stderr } = spawnSync(inject('python'), [script, 'a b'], { encoding: 'utf8', env: { ...process.env, ...env } })
  return { status, stdout, stderr }
}

it('writes no byte code', () => {
  write('beside.py', 'VALUE = 7\n')
  expect(run(write('imports.py', 'import sys, beside\nprint(beside.VALUE, sys.argv[1:])\n'))).toEqual({ status: 0, stdout: "7 ['a b']\n", stderr: '' }) // biome-ignore format: short
  expect(readdirSync(folder).sort()).toEqual(['beside.py', 'imports.py'])
})

it('draws random numbers of its own', () => {
  const script = write(
    'draws.py',
    'import json, random, numpy, torch, datasets.fingerprint as f\nprint(json.dumps([random.random(), numpy.random.random(), torch.rand(()).item(), f.fingerprint_rng.random()]))\n',
  )
  const [one, other] = [run(script), run(script)].map(({ stdout }) => JSON.parse(stdout) as number[])
  expect(one).toHaveLength(4)
  for (const [i, value] of one!.entries()) expect(value).not.toBe(other![i])
})

it('refuses an environment that comes too late, and has any other', () => {
  const script = write('says.py', 'import os\nprint(os.environ.get("HF_HUB_OFFLINE"), os.environ.get("HF_TOKEN"))\n')
  expect(run(script, { HF_TOKEN: 'abc' })).toEqual({ status: 0, stdout: '1 abc\n', stderr: '' })
  for (const [name, value] of [
    ['HF_HOME', folder],
    ['HF_HUB_OFFLINE', '0'],
    ['OMP_NUM_THREADS', '97'],
    ['PYTHONPATH', folder],
  ] as const) {
    const { status, stdout, stderr } = run(script, { [name]: value })
    expect({ status, stdout }).toEqual({ status: 1, stdout: '' })
    expect(stderr).toMatch(new RegExp(`^warm\\.py: ${name} is '${value}' for .*says\\.py, .* where the libraries were loaded`))
  }
})

it('that ends before it serves is noticed', async () => {
  await expect(warmPython(write('ends.py', 'raise SystemExit(3)\n'))).rejects.toThrow(/ends\.py ended \(3\) before it served/)
})
