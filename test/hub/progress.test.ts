import { expect, it } from 'vitest'
import { progressLine, waitLine } from '../../src/hub/progress.ts'

function drawn(isTTY: boolean, steps: readonly [seconds: number, done: number][], cached = 0) {
  let text = ''
  let time = 0
  const total = 200e6
  const draw = progressLine({ write: (part) => void (text += part), isTTY }, () => time)
  draw({ file: 'config.json', done: 600, total: 600, allDone: 600 + cached, allTotal: total + 600 + cached })
  for (const [seconds, done] of steps) {
    time = seconds
    draw({ file: 'model.safetensors', done, total, allDone: done + 600 + cached, allTotal: total + 600 + cached })
  }
  return text
}

it('draws bytes, rate and time left on a terminal, and leaves nothing behind', () => {
  const text = drawn(true, [
    [0, 0],
    [1, 20e6],
    [2, 40e6],
    [2.05, 41e6],
    [11, 200e6],
  ])
  expect(text.split('\r\x1b[2K')).toEqual([
    '',
    'fetching model.safetensors  10 % of 200 MB',
    'fetching model.safetensors  20 % of 200 MB  20 MB/s  ETA 0:08',
    '',
  ])
})

it('counts what this run has fetched for the rate, not what was there', () => {
  const text = drawn(true, [
    [0, 100e6],
    [10, 110e6],
    [10, 200e6],
  ])
  expect(text).toContain('55 % of 200 MB  1 MB/s  ETA 1:30')
})

it('is one line in a pipe', () => {
  expect(drawn(false, [[0, 0], [1, 20e6], [2, 100e6], [3, 200e6]])).toBe('fetching model.safetensors: 180 MB to come\n') // biome-ignore format: a table
})

it('says nothing of what is in the cache', () => {
  for (const isTTY of [true, false]) expect(drawn(isTTY, [[0, 200e6]])).toBe('')
})

it('says what is waited for, how long and how often', () => {
  let text = ''
  const tell = waitLine({ write: (part) => void (text += part), isTTY: false })
  tell({ why: 'No connection to http://hub (ECONNRESET).', seconds: 4, left: 2 })
  tell({ why: 'http://hub has a problem of its own (503) with config.json.', seconds: 0.5, left: 1 })
  expect(text).toBe(
    'No connection to http://hub (ECONNRESET). It is tried up to 2 times more, in 4 s …\n' +
      'http://hub has a problem of its own (503) with config.json. It is tried once more, in 0.5 s …\n',
  )
})
