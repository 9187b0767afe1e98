/** Every op folder is whole and listed: definition, cases and CPU kernel for every op that it declares, or others that stand in for it. */
import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { CpuDevice } from '../../src/devices/cpu/device.ts'
import { cases } from '../../src/ops/generated/cases.ts'
import { references } from '../../src/ops/generated/references.ts'
import type { Op } from '../../src/ops/op.ts'

const device = new CpuDevice({ threads: 1 })
const { has } = device.describe()
afterAll(() => device.dispose())

const root = join(import.meta.dirname, '../../src/ops')
const folders = readdirSync(root).filter((name) => existsSync(join(root, name, 'op.ts')))

const opsOf = async (folder: string) => {
  const exported = Object.values((await import(join(root, folder, 'op.ts'))) as Record<string, unknown>)
  return exported.filter((x): x is Op => typeof x === 'object' && x !== null && 'name' in x && 'outputs' in x && 'flops' in x)
}

describe.each(folders)('src/ops/%s', (folder) => {
  it.each(['reference.ts', 'cases.ts'])('has %s', (file) => {
    expect(existsSync(join(root, folder, file))).toBe(true)
  })

  it('has kernels for the processor, or is traced as other ops there', async () => {
    const ops = await opsOf(folder)
    if (existsSync(join(root, folder, 'cpu.cpp'))) expect(ops.filter(({ name }) => !has(name))).toEqual([])
    else expect(ops.some((op) => op.expand)).toBe(true)
  })

  it('is listed, each of its ops with a definition and cases small and, where it takes long, real', async () => {
    const ops = await opsOf(folder)
    expect(ops.length).toBeGreaterThan(0)
    for (const op of ops) {
      expect(references, op.name).toHaveProperty(op.name)
      expect(cases.filter((c) => c.op === op && !c.bench).length, op.name).toBeGreaterThan(0)
    }
  })
})

describe('the lists', () => {
  it('hold no op that no folder declares, and no case twice', async () => {
    const declared = (await Promise.all(folders.map(opsOf))).flat().map((op) => op.name)
    expect(Object.keys(references).sort()).toEqual(declared.sort())
    const names = cases.map((c) => `${c.op.name}: ${c.name}`)
    expect(names.filter((name, i) => names.indexOf(name) !== i)).toEqual([])
  })
})
