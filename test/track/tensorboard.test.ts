/** Event files to the byte as tensorboard 2.21 writes the same events, and where they lie. test/live reads a whole run with tensorboard. */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { fieldsOf } from '../../src/formats/protobuf.ts'
import { goesOn, scalars, text, version } from '../../src/track/tensorboard/event.ts'
import { crc32c, tfRecord } from '../../src/track/tensorboard/record.ts'
import { tensorBoard } from '../../src/track/tensorboard/tensorboard.ts'
import { endOf, evalOf, logOf, startOf } from './start.ts'

let folder = ''
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'saqr-tensorboard-'))
})
afterAll(() => rmSync(folder, { recursive: true }))

const TIME = 1795693192.5

describe('events as tensorboard writes them', () => {
  // RecordWriter over Event(…).SerializeToString()
  const recorded: [string, Uint8Array, string][] = [
    ['the version', version(TIME), '1800000000000000a37f4b2209000020a206c2da411a0d627261696e2e4576656e743a3214497b32'],
    ['a run that goes on', goesOn(TIME, 11), '0f000000000000006d532b0909000020a206c2da41100b3a02080197214b64'],
    [
      'numbers',
      scalars(TIME, 300, { 'train/loss': 1.1, 'eval/loss': 0 }),
      '33000000000000000ca7205609000020a206c2da4110ac022a250a110a0a747261696e2f6c6f737315cdcc8c3f0a100a096576616c2f6c6f73731500000000d74df401',
    ],
    [
      'a text',
      text(TIME, 0, 'args', 'صقر'),
      '3c00000000000000c8b7a35209000020a206c2da412a310a2f0a11617267732f746578745f73756d6d617279421008071204120208014206d8b5d982d8b14a080a060a04746578741dd59bc1',
    ],
  ]
  it.each(recorded)('%s', (_, event, expected) => expect(Buffer.from(tfRecord(event)).toString('hex')).toBe(expected))

  // the check value of CRC-32C
  it('the checksum', () => expect(crc32c(Buffer.from('123456789'))).toBe(0xe3069283))
})

/** events of a file: [step, fields of what is said] */
function events(path: string): Uint8Array[] {
  const bytes = readFileSync(path)
  const found: Uint8Array[] = []
  for (let at = 0; at < bytes.length; ) {
    const length = Number(bytes.readBigUInt64LE(at))
    found.push(bytes.subarray(at + 12, at + 12 + length))
    at += 16 + length
  }
  return found
}

describe('a run', () => {
  const now = () => new Date(2026, 10, 26, 11, 39, 52)

  it('has a folder of its own, which it goes on in', () => {
    const outputDir = join(folder, 'own')
    const run = (doneSteps: number, name = '1-a', time = now) => {
      const tracker = tensorBoard({ now: time })
      tracker.start(startOf(outputDir, { doneSteps, run: name }))
      tracker.log(logOf(doneSteps + 1, 2))
      tracker.end(endOf(doneSteps + 1))
      tracker.close!()
    }
    run(0)
    run(10)
    run(0, '2-b', () => new Date(2026, 10, 26, 11, 40, 0))
    const runs = readdirSync(join(outputDir, 'runs')).sort()
    expect(runs).toHaveLength(2)
    expect(runs[0]).toMatch(/^Nov26_11-39-52_/)
    const files = readdirSync(join(outputDir, 'runs', runs[0]!)).filter((name) => name.startsWith('events.out.tfevents.1'))
    expect(files).toHaveLength(2)
    // the second says first where it goes on: what comes later in the first file is hidden
    expect(events(join(outputDir, 'runs', runs[0]!, files.sort()[1]!))[1]).toEqual(Buffer.from(goesOn(now().getTime() / 1000, 11)))
  })

  it('says what transformers’ callback says', () => {
    const loggingDir = join(folder, 'given')
    const tracker = tensorBoard({ loggingDir, now })
    tracker.start(startOf(join(folder, 'out')))
    tracker.log(logOf(10, 1.5))
    tracker.log(evalOf(10, 1.25))
    tracker.log({ type: 'note', message: 'nothing of it' })
    tracker.end(endOf(20))
    tracker.close!()
    const [file] = readdirSync(loggingDir)
    const inside = (content: Uint8Array, of: number) =>
      fieldsOf(content)!.flatMap(({ field, value }) => (field === of ? [value as Uint8Array] : []))
    const names = events(join(loggingDir, file!))
      .flatMap((event) => inside(event, 5))
      .map((summary) => inside(summary, 1).map((value) => Buffer.from(inside(value, 1)[0]!).toString()))
    expect(names).toEqual([
      ['args/text_summary'],
      ['model_config/text_summary'],
      ['epoch', 'loss', 'grad_norm', 'learning_rate', 'num_tokens', 'entropy', 'mean_token_accuracy', 'tokens_per_second'].map(
        (n) => `train/${n}`,
      ),
      ['epoch', 'loss', 'num_tokens', 'runtime', 'samples_per_second', 'steps_per_second', 'entropy', 'mean_token_accuracy']
        .map((n) => `eval/${n}`)
        .map((n) => n.replace('eval/epoch', 'train/epoch')),
      ['train_runtime', 'train_samples_per_second', 'train_steps_per_second', 'total_flos', 'train_loss', 'epoch'].map((n) => `train/${n}`),
    ])
  })

  it('a folder that can’t be written is one clear error', () => {
    const tracker = tensorBoard({ loggingDir: '/dev/null/runs' })
    expect(() => tracker.start(startOf(folder))).toThrow(/\/dev\/null\/runs\/events.*: can't be written .* leave reportTo tensorboard out/)
  })
})
