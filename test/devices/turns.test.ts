/** Turns on a device that are handed on before they are over. */
import { expect, it } from 'vitest'
import { Turns } from '../../src/devices/turns.ts'

/** A turn that is handed on at once and is over when told. */
function flight(turns: Turns, name: string, log: string[]) {
  let land = () => {}
  const over = turns.take(async (handOn) => {
    log.push(`${name} begins`)
    handOn()
    await new Promise<void>((resolve) => (land = resolve))
    log.push(`${name} ends`)
  })
  return { over, land: () => land() }
}

const settle = () => new Promise((resolve) => setImmediate(resolve))

it('two are under way at most, in the order they came', async () => {
  const turns = new Turns()
  const log: string[] = []
  const [a, b, c] = ['a', 'b', 'c'].map((name) => flight(turns, name, log))
  await settle()
  expect(log).toEqual(['a begins', 'b begins'])
  a!.land()
  await settle()
  expect(log.slice(2)).toEqual(['a ends', 'c begins'])
  for (const one of [b!, c!]) one.land()
  await Promise.all([a!.over, b!.over, c!.over])
  expect(turns.free).toBe(true)
})

it('memory is given back when none is under way, before the next begins', async () => {
  const turns = new Turns()
  const log: string[] = []
  const a = flight(turns, 'a', log)
  const b = flight(turns, 'b', log)
  await settle()
  turns.whenFree(() => log.push('free'))
  const c = flight(turns, 'c', log)
  a.land()
  await settle()
  expect(log).toEqual(['a begins', 'b begins', 'a ends'])
  b.land()
  await settle()
  expect(log.slice(3)).toEqual(['b ends', 'free', 'c begins'])
  expect(turns.free).toBe(false)
  turns.whenFree(() => log.push('free again'))
  c.land()
  await c.over
  expect(log.slice(6)).toEqual(['c ends', 'free again'])
  expect(turns.free).toBe(true)
})

it('memory that waits to be given back is, before who comes meanwhile begins', async () => {
  const turns = new Turns()
  const log: string[] = []
  const a = flight(turns, 'a', log)
  await settle()
  turns.whenFree(() => log.push('free'))
  const b = flight(turns, 'b', log) // nobody has the turn, and yet
  await settle()
  expect(log).toEqual(['a begins'])
  a.land()
  await a.over
  await settle()
  expect(log).toEqual(['a begins', 'a ends', 'free', 'b begins'])
  b.land()
  await b.over
  expect(turns.free).toBe(true)
})

it('what fails, or is refused while it waits, holds nobody up', async () => {
  const turns = new Turns()
  const log: string[] = []
  const failing = turns.take(async (handOn) => {
    handOn()
    await settle()
    throw new Error('lost')
  })
  const after = flight(turns, 'after', log)
  const waiting = flight(turns, 'waiting', log)
  const refused = expect(waiting.over).rejects.toThrow('disposed')
  turns.refuse(new Error('disposed'))
  await expect(failing).rejects.toThrow('lost')
  await refused
  await settle()
  after.land()
  await after.over.catch(() => {})
  expect(turns.free).toBe(true)
  await turns.take(async () => log.push('last'))
  expect(log.at(-1)).toBe('last')
})
