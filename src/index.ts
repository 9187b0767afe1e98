/** saqr: fine-tune large language models. */

export { type AddNewTokensOptions, addNewTokens } from './add-new-tokens.ts'
export { Dataset } from './data/dataset.ts'
export type { FilterOptions, MapOptions } from './data/dataset-map.ts'
export type { SplitOptions } from './data/dataset-split.ts'
export { type LoadDatasetOptions, loadDataset } from './data/load.ts'
export type { Row } from './data/rows.ts'
export type { Device } from './devices/device.ts'
export { type DeviceOptions, openDevice } from './devices/open.ts'
export { SaqrError } from './error.ts'
export type { SavedMerged } from './export/merged.ts'
export type { SavedGguf } from './export/save-gguf.ts'
export type { WeightedAdapterOptions } from './export/weighted-options.ts'
export { FastLanguageModel, type Opened } from './fast-language-model.ts'
export type { Chat as Conversation, ChatSettings } from './generate/chat.ts'
export type { AnswerPiece, AskOptions, Ending, GenerateOptions, Prompt, Token } from './generate/generate.ts'
export type { TokenLogprob } from './generate/sample.ts'
export type { HubProgress, HubWait } from './hub/places.ts'
export type { Pushed } from './hub/push.ts'
export { FineTuningJobs, type FineTuningJobsOptions } from './jobs/fine-tuning-jobs.ts'
export type {
  FileObject,
  FineTuningHyperparameters,
  FineTuningJob,
  FineTuningJobCheckpoint,
  FineTuningJobEvent,
  FineTuningJobRequest,
  FineTuningJobStatus,
  FineTuningMethod,
  FineTuningMetrics,
} from './jobs/objects.ts'
export type { LoadOptions, PeftOptions } from './model-options.ts'
export type { PretrainedModel, ResizeTokenOptions } from './pretrained-model.ts'
export { type PushFolderOptions, type PushToHubOptions, pushToHub } from './push-to-hub.ts'
export type { SaveGgufOptions, SaveMergedOptions, SaveOptions } from './save-options.ts'
export type { Chat, ChatOptions, Message, SpecialTokensToAdd, TokenToAdd } from './text/tokenizer.ts'
export { Tokenizer, type TokenizerOptions } from './text/tokenizer.ts'
export type {
  AnswersEvent,
  EndEvent,
  EvalEvent,
  LogEvent,
  MemoryLine,
  MemoryTable,
  Metrics,
  NoteEvent,
  ProgressEvent,
  RunConfig,
  SaveEvent,
  Speed,
  StartEvent,
  StepEvent,
  TrainEvent,
  TrainMetrics,
  WarningEvent,
} from './track/events.ts'
export { jsonl } from './track/jsonl.ts'
export { textOutput } from './track/output.ts'
export { terminal } from './track/terminal.ts'
export { type TextOutput, type Tracker, tracked } from './track/tracker.ts'
export type { TrainerCallback, TrainerControl } from './train/callbacks.ts'
export { CPOTrainer } from './train/cpo-trainer.ts'
export { DPOTrainer } from './train/dpo-trainer.ts'
export type { EvalMetrics } from './train/evaluate-now.ts'
export { KTOTrainer } from './train/kto-trainer.ts'
export { CPOConfig, DPOConfig, KTOConfig, ORPOConfig, SFTConfig } from './train/options/config-classes.ts'
export type {
  CPOTrainerInit,
  DPOTrainerInit,
  KTOTrainerInit,
  ORPOTrainerInit,
  ReferredInit,
  Rows,
  TrainableModel,
  TrainerInit,
} from './train/options/trainer-types.ts'
export { ORPOTrainer } from './train/orpo-trainer.ts'
export { type ResponsesOnly, trainOnResponsesOnly } from './train/responses-only.ts'
export { SFTTrainer, type SFTTrainerInit, type TrainOutput, type TrainRequest } from './train/sft-trainer.ts'
