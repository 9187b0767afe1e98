#!/usr/bin/env node
// Compiles a program against the built types (dist/) with other versions of TypeScript, without skipLibCheck, and looks for the
// documentation that an editor shows.
//   node tools/types-check.mjs 5.0 6 …
import { execFileSync } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const versions = process.argv.slice(2)
const PROGRAM = `
import { Dataset, DPOTrainer, FastLanguageModel, KTOTrainer, loadDataset, SFTConfig, SFTTrainer, type DPOTrainerInit, type PretrainedModel, type TrainEvent } from 'saqr'

const { model, tokenizer } = await FastLanguageModel.fromPretrained('owner/model', { maxSeqLength: 2048, dtype: null, loadIn4bit: true })
const peft: PretrainedModel = FastLanguageModel.getPeftModel(model, { r: 16, targetModules: ['q_proj'], loftqConfig: null, useGradientCheckpointing: 'unsloth' })
const rows = (await loadDataset('rows.json', { split: 'train' })).map((batch) => ({ text: batch.text!.map(String) }), { batched: true })
const config: SFTConfig = new SFTConfig({ maxSteps: 60, learningRate: 2e-4, optim: 'adamw_8bit', fp16: false, maxSeqLength: 8 })
const trainer = new SFTTrainer({ model: peft, processingClass: tokenizer, trainDataset: rows, evalDataset: new Dataset([{ text: 'a' }]), args: config, memory: '8GB' })
const losses: number[] = []
for await (const event of trainer.stream()) if (event.type === 'log') losses.push(event.loss)
const last: TrainEvent['type'] = 'end'
const loss: number = (await trainer.evaluate()).evalLoss
const pairs: DPOTrainerInit = { model: peft, trainDataset: [{ prompt: 'a', chosen: 'b', rejected: 'c' }], args: { beta: 0.1, lossType: ['sigmoid'] } }
const beta: number = new DPOTrainer(pairs).options.beta + new KTOTrainer({ model: peft, trainDataset: rows }).options.desirableWeight
const text: string = tokenizer.applyChatTemplate([{ role: 'user', content: 'hi' }], { tokenize: false })
for await (const piece of peft.generate([{ role: 'user', content: text }], { maxNewTokens: 8 })) console.log(piece.length, loss, last, beta)
// @ts-expect-error an option that there is not
new SFTConfig({ learningRat: 1 })
`

for (const version of versions) {
  const folder = mkdtempSync(join(tmpdir(), 'saqr-types-'))
  try {
    writeFileSync(join(folder, 'package.json'), '{"type":"module","private":true}')
    writeFileSync(join(folder, 'program.ts'), PROGRAM)
    const compilerOptions = {
      strict: true,
      module: 'nodenext',
      moduleResolution: 'nodenext',
      target: 'es2022',
      noEmit: true,
      skipLibCheck: false,
      // since TypeScript 6 a project has no global types that it does not name
      ...(Number.parseInt(version, 10) < 6 ? { types: ['node'] } : { lib: ['es2023', 'dom'] }),
    }
    writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions, files: ['program.ts'] }))
    execFileSync(
      'npm',
      [
        'install',
        '--silent',
        '--no-audit',
        '--no-fund',
        `typescript@${version}`,
        ...(Number.parseInt(version, 10) < 6 ? ['@types/node@20'] : []),
      ],
      {
        cwd: folder,
        stdio: 'inherit',
      },
    )
    const installed = join(folder, 'node_modules/saqr')
    mkdirSync(installed)
    cpSync(join(root, 'package.json'), join(installed, 'package.json'))
    cpSync(join(root, 'dist'), join(installed, 'dist'), { recursive: true, filter: (path) => !path.endsWith('.js') })
    execFileSync(process.execPath, [join(folder, 'node_modules/typescript/bin/tsc'), '-p', '.'], { cwd: folder, stdio: 'inherit' })
    console.log(`types: a program compiles under TypeScript ${version}`)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

// every member of the options that a program writes says what it is
for (const [file, names] of Object.entries({
  'train/options/common-config': ['CommonConfig', 'CommonOptions'],
  'train/options/config': ['SFTConfig', 'TrainingOptions'],
  'train/options/dpo-config': ['DPOConfig'],
  'train/options/orpo-config': ['ORPOConfig'],
  'train/options/kto-config': ['KTOConfig'],
  'train/options/cpo-config': ['CPOConfig'],
  'train/options/trainer-types': ['TrainerInit', 'SFTTrainerInit'],
  'model-options': ['LoadOptions', 'PeftOptions'],
  'generate/generate': ['GenerateOptions', 'AskOptions'],
  'generate/sample': ['SampleOptions'],
  'data/load': ['LoadDatasetOptions'],
  'data/dataset-map': ['MapOptions', 'FilterOptions'],
  'data/dataset-split': ['SplitOptions'],
})) {
  const text = readFileSync(join(root, `dist/${file}.d.ts`), 'utf8')
  for (const name of names) {
    const [, body] = new RegExp(`export interface ${name}[^{]*\\{\\n([\\s\\S]*?)\\n\\}`).exec(text) ?? []
    if (body === undefined) throw new Error(`dist/${file}.d.ts has no interface ${name}`)
    const lines = body.split('\n')
    const bare = lines.filter((line, i) => /^ {4}\w+\??:/.test(line) && !/\*\/$/.test(lines[i - 1] ?? ''))
    if (bare.length > 0) throw new Error(`dist/${file}.d.ts: ${name} does not say what these are:\n${bare.join('\n')}`)
  }
}
console.log('types: every option says what it is')
