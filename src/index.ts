/** saqr: fine-tune large language models. */

export { Dataset } from './data/dataset.ts'
export { type LoadDatasetOptions, loadDataset } from './data/load.ts'
export { CpuDevice, type CpuOptions } from './devices/cpu/device.ts'
export type { Device } from './devices/device.ts'
export { SaqrError } from './error.ts'
export {
  FastLanguageModel,
  type LoadOptions,
  type PeftOptions,
  PretrainedModel,
} from './fast-language-model.ts'
export type { GenerateOptions } from './generate/generate.ts'
export { Tokenizer } from './text/tokenizer.ts'
export type { TrainEvent } from './track/events.ts'
export { jsonl } from './track/jsonl.ts'
export { textOutput } from './track/output.ts'
export { terminal } from './track/terminal.ts'
export { type TextOutput, type Tracker, tracked } from './track/tracker.ts'
export type { SFTConfig } from './train/options/sft.ts'
export { SFTTrainer, type SFTTrainerInit, type TrainOutput } from './train/sft-trainer.ts'
