import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import {
  type EndEvent,
  type EvalEvent,
  type LogEvent,
  logEntry,
  type StartEvent,
  type StepEvent,
  type TrainEvent,
} from '../../src/track/events.ts'
import { jsonl } from '../../src/track/jsonl.ts'
import { memoryTable } from '../../src/track/memory-table.ts'
import { bytes, duration, grouped, seconds, short, significant } from '../../src/track/numbers.ts'
import { terminal } from '../../src/track/terminal.ts'
import { send, tracked } from '../../src/track/tracker.ts'

const start: StartEvent = {
  type: 'start',
  run: '1-0123456789abcdef',
  runName: 'out',
  model: 'SmolLM2-135M',
  device: 'cpu, 2 threads, x86-64-v4-bf16',
  outputDir: 'out',
  training: 'LoRA r 16 on 7 modules, 4.88 M of 139 M parameters',
  memory: {
    lines: [
      { kind: 'weights', bytes: 256 * 2 ** 20, atPeak: 256 * 2 ** 20 },
      { kind: 'head scratch', bytes: 64 * 2 ** 20, atPeak: 0 },
      { kind: 'kept from forward for backward', bytes: 300 * 2 ** 20, atPeak: 290 * 2 ** 20 },
    ],
    arena: 400 * 2 ** 20,
    total: 656 * 2 ** 20,
    host: 0,
    overhead: 250 * 2 ** 20,
    overheads: [{ kind: 'Node, its libraries, rows', bytes: 250 * 2 ** 20 }],
    budget: null,
    peak: 'backward model.layers.29.mlp.down_proj',
  },
  planHash: '0123456789abcdef0123',
  steps: 20,
  doneSteps: 0,
  epochs: 1.5,
  rows: 1000,
  rowTokens: 142331,
  computedTokens: 142331,
  targets: 60000,
  sharing: { off: 'lora_dropout is 0.05', tokens: 19631 },
  passesPerStep: 1,
  predictedSeconds: 0.5,
  watched: [{ name: 'meanTokenAccuracy', label: 'accuracy' }],
  history: [],
  config: { args: {}, model: {}, adapter: null, parameters: { all: 139e6, trained: 4.88e6 } },
}
const speed = { tokensPerSecond: 1234.4, computedTokensPerSecond: 1000.2, share: 0.714 }
const step = (n: number): StepEvent => ({ type: 'step', step: n, epoch: n / 10, loss: 2 - n / 20, elapsed: n * 0.5, ...speed })
const log: LogEvent = {
  type: 'log',
  step: 10,
  epoch: 1,
  loss: 1.51234,
  gradNorm: 0.52342,
  learningRate: 1.8e-4,
  numTokens: 9000,
  metrics: { entropy: 1.2, meanTokenAccuracy: 0.61 },
  ...speed,
}
const evaluation: EvalEvent = {
  type: 'eval',
  step: 10,
  epoch: 1,
  evalLoss: 1.7,
  evalNumTokens: 9000,
  metrics: { evalEntropy: 1.3, evalMeanTokenAccuracy: 0.59 },
  evalRuntime: 2.5,
  evalSamplesPerSecond: 40,
  evalStepsPerSecond: 5,
}
const end: EndEvent = {
  type: 'end',
  step: 20,
  metrics: { trainRuntime: 75, trainSamplesPerSecond: 20, trainStepsPerSecond: 0.25, totalFlos: 1e15, trainLoss: 1.4, epoch: 1.5 },
  finished: true,
  checkpoint: null,
  stopped: null,
  usage: { tokens: 90000, peakBytes: 3 * 2 ** 30 },
  whole: { tokens: 90000, loss: 1 },
}
const TOOK = '90,000 tokens, 1,200 a second; the process had 3.00 GiB at most, 656 MiB were planned on the device'
const events: TrainEvent[] = [
  start,
  step(1),
  step(10),
  log,
  evaluation,
  { type: 'save', step: 10, path: 'out/checkpoint-10' },
  step(20),
  end,
]

function output(isTTY: boolean) {
  let text = ''
  return { isTTY, columns: 100, write: (more: string) => void (text += more), text: () => text }
}

describe('terminal', () => {
  it('says nothing of sharing that would save nothing', () => {
    const out = output(false)
    send(terminal(out, output(false)), { ...start, sharing: { off: 'lora_dropout is 0.05', tokens: 0 } })
    expect(out.text()).toMatch(/^SmolLM2-135M: LoRA/)
  })

  it('prints the memory table and a plain line a log in a pipe', () => {
    const [out, err] = [output(false), output(false)]
    const tracker = terminal(out, err)
    for (const event of events) send(tracker, event)
    const lines = out.text().split('\n')
    expect(lines[0]).toBe('rows don’t share their beginnings: lora_dropout is 0.05; it would save 19,631 of 142,331 tokens an epoch')
    expect(lines[1]).toBe('SmolLM2-135M: LoRA r 16 on 7 modules, 4.88 M of 139 M parameters')
    expect(lines.slice(4, 12)).toEqual(memoryTable(start.memory))
    expect(lines.slice(12)).toEqual([
      'plan 0123456789ab: 20 steps in 1.5 epochs, 1 pass and about 500 ms each',
      'step 10/20  epoch 1.00  loss 1.5123  grad_norm 0.5234  lr 1.8e-4  accuracy 0.6100  1,234 tok/s (1,000 computed)  71% of the limit  ETA 0:05',
      'step 10/20  eval_loss 1.7000  accuracy 0.5900  in 2.50 s',
      'saved out/checkpoint-10',
      '20 steps in 1:15, mean loss 1.4000',
      TOOK,
      '',
    ])
    expect(out.text()).not.toContain('\x1b')
    expect(err.text()).toBe('')
  })

  it('says at the end what evaluations came to, those before it went on too, and where they were best', () => {
    const closing = (...losses: number[]) => {
      const out = output(false)
      const tracker = terminal(out, out)
      tracker.start({
        ...start,
        doneSteps: 4,
        history: [
          { step: 4, eval_loss: 1.9 },
          { step: 4, loss: 2 },
        ],
      })
      for (const [i, evalLoss] of losses.entries()) tracker.log({ ...evaluation, step: 5 + i, evalLoss })
      tracker.end(end)
      return out.text().split('\n').slice(-4, -1)
    }
    expect(closing(1.8, 1.7)[1]).toBe('eval_loss from 1.9000 to 1.7000 in 3 evaluations')
    expect(closing(1.6, 1.7)[1]).toBe(
      'eval_loss from 1.9000 to 1.7000 in 3 evaluations, lowest 1.6000 in step 5: a shorter run, or its checkpoint, does better on these rows',
    )
    expect(closing().join()).not.toContain('eval_loss')
  })

  it('draws one live line on a terminal, over itself, within its width', () => {
    const [out, err] = [output(true), output(true)]
    const tracker = terminal(out, err)
    for (const event of events) send(tracker, event)
    const live = out.text().split('\r\x1b[2K').slice(1)
    expect(live[0]).toMatch(/^▕█.*▏ 1\/20 {2}ETA 0:10 {2}loss 1\.9500 {2}1\.23 k tok\/s {2}71% of the limit$/)
    for (const line of live) expect(line.split('\n')[0]!.length).toBeLessThan(100)
    // logs, evaluations and checkpoints stand above it
    expect(live).toContain('step 10/20  loss 1.5123  accuracy 0.610  grad_norm 0.523  lr 1.8e-4   epoch 1.00\n')
    expect(live).toContain('saved out/checkpoint-10\n')
    expect(out.text().endsWith(`\n20 steps in 1:15, mean loss 1.4000\n${TOOK}\n`)).toBe(true)
  })

  it('keeps to plain lines on a terminal when told to, and draws no more often than ten times a second', () => {
    const plain = output(true)
    const tracker = terminal(plain, plain, { plain: true })
    for (const event of events) send(tracker, event)
    expect(plain.text()).not.toContain('\x1b')

    const out = output(true)
    const quick = terminal(out, out)
    quick.start(start)
    for (let n = 1; n <= 19; n++) quick.log({ ...step(n), elapsed: n * 0.01 })
    expect(out.text().split('\r\x1b[2K').length - 1).toBe(2)
  })

  it('sends warnings to the error stream and says how to go on after a stop', () => {
    const [out, err] = [output(false), output(false)]
    const tracker = terminal(out, err)
    tracker.start({ ...start, doneSteps: 4, sharing: null, computedTokens: 120000 })
    tracker.log({ type: 'note', message: 'a.json: 40 rows of text' })
    tracker.log({ type: 'warning', message: 'row 3 of a.json is cut' })
    tracker.log(step(8))
    tracker.end({ ...end, step: 8, finished: false, stopped: 'out/checkpoint-8' })
    expect(err.text()).toBe('warning: row 3 of a.json is cut\n')
    expect(out.text().split('\n')[0]).toBe('SmolLM2-135M: LoRA r 16 on 7 modules, 4.88 M of 139 M parameters')
    expect(out.text()).toContain('142,331 tokens, 120,000 to compute: rows share their beginnings')
    expect(out.text()).toContain('going on after step 4\na.json: 40 rows of text\n')
    expect(out.text()).toContain(
      `stopped after 4 more steps in 1:15, mean loss 1.4000\n${TOOK}\ngo on with --resume_from_checkpoint out/checkpoint-8\n`,
    )
  })
})

describe('memory table', () => {
  it('has a line a kind, largest at the peak first, and sums', () => {
    expect(memoryTable(start.memory)).toEqual([
      '  memory                             at most     at peak',
      '  kept from forward for backward     300 MiB     290 MiB',
      '  weights                            256 MiB     256 MiB',
      '  head scratch                      64.0 MiB         0 B',
      '  on the device                                  546 MiB',
      '  Node, its libraries, rows                      250 MiB',
      '  in all                                         796 MiB',
      '  peak at backward model.layers.29.mlp.down_proj; arena 400 MiB; budget not given',
    ])
  })
})

describe('jsonl', () => {
  it('holds every event as stream() yields it, and goes on in the same file', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'saqr-jsonl-'))
    const path = join(folder, 'deep', 'events.jsonl')
    async function* stream() {
      yield* events
    }
    const seen: TrainEvent[] = []
    for await (const event of tracked(stream(), [jsonl(path, () => new Date(0))])) seen.push(event)
    expect(seen).toEqual(events)
    send(
      jsonl(path, () => new Date(0)),
      start,
    )
    const lines = readFileSync(path, 'utf8').trimEnd().split('\n')
    expect(lines.map((line) => JSON.parse(line))).toEqual(
      [...events, start].map((event) => ({ ...event, time: '1970-01-01T00:00:00.000Z' })),
    )
    rmSync(folder, { recursive: true })
  })

  it('that can’t be written is an error that names the file', () => {
    expect(() => send(jsonl('/dev/null/events.jsonl'), start)).toThrow(/TRAIN_LOG|\/dev\/null\/events\.jsonl: can't be written/)
  })
})

describe('log_history', () => {
  it('has TRL’s names', () => {
    expect(logEntry(log)).toEqual({
      epoch: 1,
      loss: 1.51234,
      grad_norm: 0.52342,
      learning_rate: 1.8e-4,
      entropy: 1.2,
      num_tokens: 9000,
      mean_token_accuracy: 0.61,
      step: 10,
    })
    expect(Object.keys(logEntry(evaluation))).toEqual([
      'epoch',
      'eval_loss',
      'eval_num_tokens',
      'eval_runtime',
      'eval_samples_per_second',
      'eval_steps_per_second',
      'eval_entropy',
      'eval_mean_token_accuracy',
      'step',
    ])
    expect(logEntry(end)).toEqual({
      train_runtime: 75,
      train_samples_per_second: 20,
      train_steps_per_second: 0.25,
      total_flos: 1e15,
      train_loss: 1.4,
      epoch: 1.5,
      step: 20,
    })
  })
})

describe('numbers', () => {
  it('are as people read them', () => {
    expect([0, 1023, 1536, 50 * 2 ** 20, 2 ** 40].map(bytes)).toEqual(['0 B', '1023 B', '1.50 KiB', '50.0 MiB', '1.00 TiB'])
    expect([0, 999, 1234567.4].map(grouped)).toEqual(['0', '999', '1,234,567'])
    expect([950, 1234, 4.9e6, 7e9].map(short)).toEqual(['950', '1.23 k', '4.90 M', '7.00 G'])
    expect([5, 75, 3700].map(duration)).toEqual(['0:05', '1:15', '1:01:40'])
    expect([0.00002, 0.0123, 5, 75].map(seconds)).toEqual(['20.0 µs', '12.3 ms', '5.00 s', '1:15'])
    expect([0, 123.456, 0.012345, 0.00012345, 2e-5].map((n) => significant(n, 3))).toEqual(['0', '123', '0.0123', '1.23e-4', '2e-5'])
  })
})
