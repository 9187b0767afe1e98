/** What `auto` opens and what `saqr doctor` says of the cards that a driver shows: a driver is made up and put where the loader finds it first. */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { buildLibrary } from './cxx.ts'
import type { Machine, Seen } from './fake-machine.ts'

const folder = mkdtempSync(join(tmpdir(), 'saqr-cards-'))
afterAll(() => rmSync(folder, { recursive: true }))

/** no NVRTC knows sm_998 */
const machines = {
  none: { FAKE_INIT: '100' },
  'none that was to be': { FAKE_INIT: '100', CUDA_VISIBLE_DEVICES: '' },
  'none by -1': { FAKE_INIT: '100', CUDA_VISIBLE_DEVICES: '-1' },
  'none by Slurm': { FAKE_INIT: '100', CUDA_VISIBLE_DEVICES: 'NoDevFiles' },
  'hidden by a number': { CUDA_VISIBLE_DEVICES: '5' },
  'hidden by a UUID': { FAKE_INIT: '100', CUDA_VISIBLE_DEVICES: 'GPU-8932f937' },
  'newer libcuda': { FAKE_INIT: '804' },
  old: { FAKE_ARCHS: '61' },
  taken: { FAKE_ARCHS: '90', FAKE_RETAIN: '46' },
  several: { FAKE_ARCHS: '61,998,120' },
} satisfies Record<string, Machine>
type Name = keyof typeof machines
let seen: Record<Name, Seen>

beforeAll(() => {
  if (process.platform !== 'linux') return
  const read = (path: string) => readFileSync(join(import.meta.dirname, path), 'utf8')
  const made = new Set(read('fake-cuda.cpp').match(/\bcu[A-Z]\w+(?=\()/g))
  const others = [...new Set(read('../../src/devices/cuda/driver.ts').match(/\bcu[A-Z]\w+(?=\()/g))].filter((name) => !made.has(name))
  writeFileSync(join(folder, 'others.inc'), others.map((name) => `OTHER(${name})\n`).join(''))
  buildLibrary(join(folder, 'libcuda.so.1'), '-Wl,-soname,libcuda.so.1', `-I${folder}`, 'fake-cuda.cpp')
  const args = ['--import', join(import.meta.dirname, '../../tools/ts.mjs'), join(import.meta.dirname, 'fake-machine.ts')]
  const out = execFileSync(process.execPath, [...args, JSON.stringify(Object.values(machines))], {
    encoding: 'utf8',
    env: { ...process.env, LD_LIBRARY_PATH: folder, NODE_OPTIONS: '' },
  })
  const all = JSON.parse(out) as Seen[]
  seen = Object.fromEntries(Object.keys(machines).map((name, i) => [name, all[i]!])) as typeof seen
}, 60_000)

describe.runIf(process.platform === 'linux')('auto', () => {
  it.each<Name>(['none', 'none that was to be', 'none by -1', 'none by Slurm'])('%s: the CPU', (name) => {
    expect(seen[name].auto).toBe('cpu')
  })

  it.each<[Name, string]>([
    ['hidden by a number', 'DEVICE_CUDA_HIDDEN'],
    ['hidden by a UUID', 'DEVICE_CUDA_HIDDEN'],
    ['newer libcuda', 'DEVICE_CUDA_DRIVER'],
    ['old', 'DEVICE_CUDA_CARD'],
    ['taken', 'DEVICE_CUDA_BUSY'],
    ['several', 'DEVICE_CUDA_LIBRARY'],
  ])('%s: told, not passed over', (name, code) => {
    expect(seen[name].auto).toBe(code)
  })
})

describe.runIf(process.platform === 'linux')('doctor', () => {
  it('lists every card as --device and as nvidia-smi name it, those that can’t be used with why', () => {
    const { code, out } = seen.several.doctor
    expect(code).toBe(0)
    expect(out).toMatch(/✓ cuda {6}cuda:0 Fake 80GB \(0000:30:00\.0\), sm_61\n {12}DEVICE_CUDA_CARD: .* Use cuda:1 .*--device cpu\.\n/)
    expect(out).toMatch(
      /cuda:1 Fake 80GB \(0000:31:00\.0\), sm_998, 132 multiprocessors, driver for CUDA 13\.0\n {12}80\.0 GiB of memory, 70\.0 GiB free\n/,
    )
    expect(out).toMatch(/cuda:2 Fake 80GB \(0000:32:00\.0\), sm_120a/)
    expect(out).toMatch(/– cuda nvrtc DEVICE_CUDA_LIBRARY: /)
  })

  it('says what is wrong where there is none that can be used', () => {
    expect(seen['hidden by a number'].doctor.out).toMatch(/– cuda {6}DEVICE_CUDA_HIDDEN: .*set to '5'.*--device cpu/)
    expect(seen.old.doctor.out).toMatch(/– cuda {6}DEVICE_CUDA_CARD: /)
    expect(seen['newer libcuda'].doctor.out).toMatch(/– cuda {6}DEVICE_CUDA_DRIVER: .*newer than the machine's driver/)
  })
})
