/** The classic notebooks, translated line by line: they run with the arguments they have. */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it, vi } from 'vitest'
import { FastLanguageModel, loadDataset, SFTConfig, SFTTrainer, trainOnResponsesOnly } from '../../src/index.ts'
import { writeTinyModel } from '../cli/tiny-model.ts'

const CHAT =
  "{% for message in messages %}<s>{{ message['role'] }}\n{{ message['content'] }}</s>\n{% endfor %}{% if add_generation_prompt %}<s>assistant\n{% endif %}"

let folder = ''
const at = (name: string) => join(folder, name)
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'saqr-notebook-'))
  await writeTinyModel(at('model'))
  writeFileSync(at('model/chat_template.jinja'), CHAT)
  const row = (i: number) => ({ instruction: `Say ${i}`, input: '', output: String(i) })
  writeFileSync(at('alpaca.json'), JSON.stringify(Array.from({ length: 12 }, (_, i) => row(i))))
  const chat = (i: number) => ({
    conversations: [
      { role: 'user', content: `Say ${i}` },
      { role: 'assistant', content: String(i) },
    ],
  })
  writeFileSync(at('chats.json'), JSON.stringify(Array.from({ length: 12 }, (_, i) => chat(i))))
})
afterAll(() => rmSync(folder, { recursive: true }))

const open = () =>
  FastLanguageModel.fromPretrained({
    modelName: at('model'),
    maxSeqLength: 256,
    dtype: null,
    loadIn4bit: true,
    token: null,
    device: 'cpu',
  })

it('Llama on Alpaca rows', async () => {
  const { model: base, tokenizer } = await open()
  const model = FastLanguageModel.getPeftModel(base, {
    r: 16,
    targetModules: ['q_proj', 'k_proj', 'v_proj', 'o_proj', 'gate_proj', 'up_proj', 'down_proj'],
    loraAlpha: 16,
    loraDropout: 0,
    bias: 'none',
    useGradientCheckpointing: 'unsloth',
    randomState: 3407,
    useRslora: false,
    loftqConfig: null,
  })
  const EOS_TOKEN = tokenizer.eosToken
  expect([tokenizer.bosToken, EOS_TOKEN, tokenizer.padToken]).toEqual([null, '</s>', null])
  tokenizer.padToken = EOS_TOKEN
  const dataset = (await loadDataset(at('alpaca.json'), { split: 'train' })).map(
    ({ instruction, output }) => ({
      text: instruction!.map((one, i) => `### Instruction:\n${one}\n\n### Response:\n${output![i]}${EOS_TOKEN}`),
    }),
    { batched: true },
  )
  const { train, test } = dataset.shuffle({ seed: 3407 }).trainTestSplit({ testSize: 0.2, seed: 3407 })

  const trainer = new SFTTrainer({
    model,
    tokenizer,
    trainDataset: train,
    evalDataset: test,
    datasetTextField: 'text',
    maxSeqLength: 128,
    datasetNumProc: 2,
    packing: false,
    args: new SFTConfig({
      perDeviceTrainBatchSize: 2,
      gradientAccumulationSteps: 4,
      warmupSteps: 5,
      maxSteps: 2,
      learningRate: 2e-4,
      bf16: true,
      loggingSteps: 1,
      optim: 'adamw_8bit',
      weightDecay: 0.01,
      lrSchedulerType: 'linear',
      seed: 3407,
      evaluationStrategy: 'steps',
      evalSteps: 1,
      outputDir: at('outputs'),
      reportTo: 'none',
    }),
  })
  expect(trainer.options).toMatchObject({ maxLength: 128, datasetTextField: 'text', evalStrategy: 'steps' })
  const stats = await trainer.train()
  expect(stats.globalStep).toBe(2)
  const { log_history: history } = JSON.parse(readFileSync(at('outputs/checkpoint-2/trainer_state.json'), 'utf8'))
  const last = history.findLast((entry: Record<string, number>) => entry.eval_loss !== undefined)
  expect(await trainer.evaluate()).toMatchObject({ evalLoss: last.eval_loss, evalMeanTokenAccuracy: last.eval_mean_token_accuracy })
  await trainer.saveModel(at('saved'))

  FastLanguageModel.forInference(model)
  const log = vi.spyOn(console, 'log').mockImplementation(() => {})
  expect(model.printTrainableParameters()).toMatch(/^trainable params: [\d,]+ \|\| all params: [\d,]+ \|\| trainable%: \d+\.\d{4}$/)
  expect(log).toHaveBeenCalledOnce()
  log.mockRestore()
  let text = ''
  for await (const piece of model.generate('Say 3', { maxNewTokens: 4, useCache: true })) text += piece
  expect(typeof text).toBe('string')

  await model.savePretrained(at('lora_model'))
  await tokenizer.savePretrained(at('lora_model'))
  await model.savePretrainedMerged(at('merged'), tokenizer, { saveMethod: 'merged_16bit' })
  for (const file of [
    'saved/adapter_config.json',
    'saved/tokenizer.json',
    'lora_model/adapter_model.safetensors',
    'merged/model.safetensors',
  ])
    expect(existsSync(at(file)), file).toBe(true)
  await base.dispose()
  const again = await FastLanguageModel.fromPretrained(at('lora_model'), { loadIn4bit: true, device: 'cpu' })
  await again.model.dispose()
}, 60_000)

it('conversations through the chat template, a share of steps to warm up, and what is asked as it was trained', async () => {
  const { model: base, tokenizer } = await open()
  const model = FastLanguageModel.getPeftModel(base, { r: 8, useGradientCheckpointing: true, useRslora: true })
  const dataset = (await loadDataset(at('chats.json'))).map(
    (examples) => ({
      text: examples.conversations!.map((convo) =>
        tokenizer.applyChatTemplate(convo as { role: string; content: string }[], { tokenize: false, addGenerationPrompt: false }),
      ),
    }),
    { batched: true, removeColumns: ['conversations'] },
  )
  expect(dataset.at(0)).toEqual({ text: '<s>user\nSay 0</s>\n<s>assistant\n0</s>\n' })
  const trainer = new SFTTrainer({
    model,
    trainDataset: dataset.filter((_, i) => i < 8),
    args: { maxSteps: 1, warmupRatio: 0.1, outputDir: at('chats'), bf16: true, fp16: false, saveStrategy: 'no' },
  })
  expect(trainer.options.warmupSteps).toBe(0.1)
  const parts = { instructionPart: '<s>user\n', responsePart: '<s>assistant\n' }
  expect(trainOnResponsesOnly(trainer, parts)).toBe(trainer)
  expect(trainer.options).toMatchObject(parts)
  expect(() => trainOnResponsesOnly(trainer, parts)).toThrow('already')
  for await (const event of trainer.stream()) {
    // a digit and </s> of each of 8 rows
    if (event.type === 'start') expect(event.targets).toBe(8 * 2)
    if (event.type === 'start') break
  }
  expect(trainer.notes.join('\n')).toContain('warmupRatio is warmupSteps now')
  await trainer.train()
  await model.savePretrained(at('chat_model'))
  expect(JSON.parse(readFileSync(at('chat_model/saqr.json'), 'utf8'))).toMatchObject({
    prompt: { form: 'chat' },
    base: { load_in_4bit: true },
  })

  const said = async (prompt: Parameters<typeof model.generate>[0], options = {}) => {
    let text = ''
    for await (const piece of model.generate(prompt, { maxNewTokens: 6, ...options })) text += piece
    return text
  }
  const messages = [{ role: 'user', content: 'Say 3' }]
  const ids = tokenizer.applyChatTemplate(messages, { addGenerationPrompt: true, tokenize: true })
  const right = await said(ids)
  expect(await said(messages)).toBe(right)
  expect(await said('Say 3')).toBe(right)
  expect(await said('Say 3', { chat: false })).toBe(await said(tokenizer.encode('Say 3')))
  await base.dispose()
}, 60_000)
