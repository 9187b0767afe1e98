/** Calls that overlap on one device: what the test runs on every device of this machine, and test:cuda on a card. */
import { createHash } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { loadDataset } from '../../src/data/load.ts'
import type { Device } from '../../src/devices/device.ts'
import { SeededRandom } from '../../src/engine/random.ts'
import { FastLanguageModel } from '../../src/fast-language-model.ts'
import type { PretrainedModel } from '../../src/pretrained-model.ts'
import { SFTTrainer } from '../../src/train/sft-trainer.ts'
import { tinyRows, writeTinyModel } from '../cli/tiny-model.ts'

const prompts = Array.from({ length: 24 }, (_, i) => 'the falcon flies over'.slice(0, 1 + (i % 9)) + 'x'.repeat(i % 4))

export class Overlapping {
  readonly #folder = mkdtempSync(join(tmpdir(), 'saqr-overlap-'))
  readonly #open: () => Device

  constructor(open: () => Device) {
    this.#open = open
  }

  async prepare(): Promise<void> {
    await writeTinyModel(join(this.#folder, 'model'))
    writeFileSync(join(this.#folder, 'rows.jsonl'), tinyRows())
  }

  remove(): void {
    rmSync(this.#folder, { recursive: true })
  }

  async #model(device: Device): Promise<PretrainedModel> {
    return (await FastLanguageModel.fromPretrained(join(this.#folder, 'model'), { device, dtype: 'f32', loadIn4bit: false })).model
  }

  async #answer(of: PretrainedModel, prompt: string, signal?: AbortSignal): Promise<string> {
    let text = ''
    for await (const piece of of.generate(prompt, { maxNewTokens: 6, signal })) text += piece
    return text
  }

  async #losses(of: PretrainedModel, name: string, signal?: AbortSignal): Promise<number[]> {
    const args = {
      outputDir: join(this.#folder, name),
      maxSteps: 4,
      loggingSteps: 1,
      learningRate: 1e-2,
      bf16: false,
      saveStrategy: 'no' as const,
    }
    const trainDataset = await loadDataset(join(this.#folder, 'rows.jsonl'))
    const trainer = new SFTTrainer({ model: of, processingClass: of.tokenizer, trainDataset, args })
    const seen: number[] = []
    for await (const event of trainer.stream({ signal })) if (event.type === 'log') seen.push(event.loss)
    return seen
  }

  /** Tens of answers at once, every third stopped on the way: what is wrong with them; and bytes that the model left behind. */
  async answers(): Promise<{ wrong: string[]; left: number }> {
    const device = this.#open()
    try {
      const model = await this.#model(device)
      const alone = new Map<string, string>()
      for (const prompt of new Set(prompts)) alone.set(prompt, await this.#answer(model, prompt))
      const random = new SeededRandom(7, 'aborts')
      const results = await Promise.allSettled(
        prompts.map((prompt, i) => {
          const stop = new AbortController()
          if (i % 3 === 1) setTimeout(() => stop.abort(new Error('enough')), 60 * random.uniform())
          return this.#answer(model, prompt, stop.signal)
        }),
      )
      const wrong = results.flatMap((result, i) => {
        if (result.status === 'fulfilled') return result.value === alone.get(prompts[i]!) ? [] : [`${i}: ${result.value}`]
        return i % 3 === 1 && result.reason.message === 'enough' ? [] : [`${i}: ${result.reason}`]
      })
      await model.dispose()
      return { wrong, left: device.resident().store }
    } finally {
      device.dispose()
    }
  }

  /** Training and answering at once, another training stopped in between: what each gives, alone and together. */
  async training(): Promise<{ alone: number[]; together: number[]; stopped: number[]; said: string; answers: string[] }> {
    const device = this.#open()
    try {
      const model = await this.#model(device)
      const adapted = () => FastLanguageModel.getPeftModel(model, { r: 4, randomState: 1 })
      const said = await this.#answer(model, 'the')
      const alone = await this.#losses(adapted(), 'alone')
      const [together, stopped, ...answers] = await Promise.all([
        this.#losses(adapted(), 'together'),
        this.#losses(adapted(), 'stopped', AbortSignal.timeout(30)).catch(() => []),
        ...Array.from({ length: 8 }, () => this.#answer(model, 'the')),
      ])
      return { alone, together, stopped, said, answers }
    } finally {
      device.dispose()
    }
  }

  /**
   * An adapter saved again and again while it trains: how many files, how many reads of its tensors while a run had the device (that may
   * change them), and how many files the adapter never was after a step.
   */
  async saves(): Promise<{ saved: number; amid: number; torn: number }> {
    const device = this.#open()
    try {
      const model = await this.#model(device)
      const peft = FastLanguageModel.getPeftModel(model, { r: 64 })
      const args = { outputDir: join(this.#folder, 'saves'), maxSteps: 12, learningRate: 1e-2, saveStrategy: 'no' as const }
      const trainDataset = await loadDataset(join(this.#folder, 'rows.jsonl'))
      const trainer = new SFTTrainer({ model: peft, processingClass: peft.tokenizer, trainDataset, args })
      const hash = async (name: string) => {
        const folder = join(this.#folder, name)
        await peft.savePretrained(folder)
        return createHash('sha1')
          .update(readFileSync(join(folder, 'adapter_model.safetensors')))
          .digest('hex')
      }
      const whole = new Set([await hash('whole')])
      const reads = readsAmidRuns(device)
      const seen: string[] = []
      let done = false
      const saving = (async () => {
        while (!done) {
          seen.push(await hash('meanwhile'))
          await new Promise((resolve) => setImmediate(resolve))
        }
      })()
      for await (const event of trainer.stream()) if (event.type === 'step') whole.add(await hash('whole'))
      done = true
      await saving
      return { saved: seen.length, amid: reads(), torn: seen.filter((one) => !whole.has(one)).length }
    } finally {
      device.dispose()
    }
  }

  /** A model, or its device, disposed of in the middle of answers: codes of the errors that their callers got. */
  async disposals(): Promise<string[]> {
    const codes = new Set<string>()
    for (let i = 0; i < 8; i++) {
      const device = this.#open()
      const model = await this.#model(device)
      const running = prompts.slice(0, 6).map((prompt) => this.#answer(model, prompt))
      await new Promise((resolve) => setTimeout(resolve, 3 * i))
      if (i % 2) device.dispose()
      else await model.dispose()
      for (const result of await Promise.allSettled(running))
        if (result.status === 'rejected') codes.add(String(result.reason.code ?? result.reason))
      device.dispose()
      await device.turn(async () => codes.add('a turn of a disposed device')).catch((error) => codes.add(error.code))
    }
    return [...codes].sort()
  }
}

/** Counts reads of the store while a run has the turn; a device that hands turns on keeps their order by itself, there it counts none. */
function readsAmidRuns(device: Device): () => number {
  let asked = false
  let running = false
  let reads = 0
  const { run, turn, readStore } = device
  device.run = (...given) => {
    asked = true
    const result = run.apply(device, given)
    asked = false
    return result
  }
  device.turn = (work, signal) => {
    const ofRun = asked
    const marked: typeof work = async (t) => {
      running = ofRun
      return work(t).finally(() => {
        running = false
      })
    }
    return turn.call(device, marked as never, signal) as never
  }
  device.readStore = (...given) => {
    if (running) reads++
    return readStore.apply(device, given)
  }
  return () => reads
}
