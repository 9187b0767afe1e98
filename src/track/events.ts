/**
 * What a run says while it goes, in order: one `start`; then `step` after every optimizer step, `log`, `eval`, `save`, `note` and `warning` as they
 * come; one `end`. Metrics have TRL's names in camelCase; `logEntry` gives them as trainer_state.json's log_history has them.
 */

/** One line of the memory table. `bytes`: the most it ever holds; `atPeak`: what it holds at the step where the arena is fullest. */
export interface MemoryLine {
  /** what lies there: "frozen weights" */
  kind: string
  /** the most it ever holds, bytes */
  bytes: number
  /** what it holds at the step where the arena is fullest, bytes */
  atPeak: number
}

/** Known before the first step. */
export interface MemoryTable {
  /** one a kind of content */
  lines: MemoryLine[]
  /** bytes of the one arena */
  arena: number
  /** bytes on the device in all: arena and store */
  total: number
  /** bytes of the host's memory that lie there for a device with memory of its own */
  host: number
  /** bytes that a budget leaves for the process itself: Node, the tokenizer, rows; of a card what its driver and libraries take */
  overhead: number
  /** what they are */
  overheads: readonly { kind: string; bytes: number }[]
  /** what `--memory` allows; null: not given (a run then takes what is free) */
  budget: number | null
  /** the step of the plan where the arena is fullest, `backward model.layers.3.mlp.down_proj` */
  peak: string
}

/** What a run was asked for: JSON by the names that TRL, the model's config.json and PEFT's adapter_config.json have. */
export interface RunConfig {
  /** the trainer’s options */
  args: Readonly<Record<string, unknown>>
  /** the model’s config.json */
  model: Readonly<Record<string, unknown>>
  /** the adapter’s adapter_config.json; null: all weights are trained */
  adapter: Readonly<Record<string, unknown>> | null
  /** in all, and those that are trained */
  parameters: { all: number; trained: number }
}

/** A run begins: all that is known before its first step. */
export interface StartEvent {
  /** the first event */
  type: 'start'
  /** which run of outputDir this is: the same where one goes on */
  run: string
  /** name of the run: runName, else outputDir */
  runName: string
  /** the model as it was named */
  model: string
  /** as the device describes itself */
  device: string
  /** folder of its checkpoints */
  outputDir: string
  /** what is trained: "LoRA r 16, 4.88 M of 139.40 M parameters, in bf16" */
  training: string
  /** what the run takes at most, line by line */
  memory: MemoryTable
  /** hash of the plan of a full pass */
  planHash: string
  /** optimizer steps of the whole run */
  steps: number
  /** optimizer steps done before this start */
  doneSteps: number
  /** times that all rows are gone through */
  epochs: number
  /** rows of the training set */
  rows: number
  /** their tokens */
  rowTokens: number
  /** tokens left to compute in an epoch, after shared beginnings (of many steps: as the first 64 say) */
  computedTokens: number
  /** tokens that are learned in an epoch */
  targets: number
  /** why beginnings are not shared, and what sharing would save; null where they are */
  sharing: { off: string; tokens: number } | null
  /** metrics that people watch: their names in log events (after `eval`, capitalised, in those of evaluation), and what a terminal calls them */
  watched: readonly { name: string; label: string }[]
  /** log_history before this start: empty where the run begins */
  history: readonly Record<string, number>[]
  /** passes of an ordinary step */
  passesPerStep: number
  /** seconds that the plan predicts for an ordinary step */
  predictedSeconds: number
  /** what the run was asked for */
  config: RunConfig
}

/** How fast it goes, since the last event of its kind. */
export interface Speed {
  /** rows’ tokens a second */
  tokensPerSecond: number
  /** computed tokens a second: fewer where rows share their beginnings */
  computedTokensPerSecond: number
  /** of the machine's measured limit, 0 to 1 */
  share: number
}

/** A step was made. */
export interface StepEvent extends Speed {
  /** after every optimizer step */
  type: 'step'
  /** optimizer steps done */
  step: number
  /** epochs done, with their fraction */
  epoch: number
  /** mean loss of the step */
  loss: number
  /** seconds since the start of training */
  elapsed: number
}

/** by name, in camelCase */
export type Metrics = Readonly<Record<string, number>>

/** What is logged, averaged over the steps since the last log. */
export interface LogEvent extends Speed {
  /** as loggingSteps says */
  type: 'log'
  /** optimizer steps done */
  step: number
  /** epochs done, with their fraction */
  epoch: number
  /** mean over the steps since the last log */
  loss: number
  /** length of the gradient before it is clipped, of the last step */
  gradNorm: number
  /** learning rate of the last step */
  learningRate: number
  /** rows' tokens seen so far */
  numTokens: number
  /** what the objective measures beside its loss (SFT: entropy in nats, meanTokenAccuracy), averaged like it */
  metrics: Metrics
}

/** The evaluation rows were scored. */
export interface EvalEvent {
  /** after an evaluation */
  type: 'eval'
  /** optimizer steps done */
  step: number
  /** epochs done, with their fraction */
  epoch: number
  /** mean loss of the evaluation rows */
  evalLoss: number
  /** tokens trained on so far, as TRL has it */
  evalNumTokens: number
  /** what the objective measures beside its loss (SFT: evalEntropy, evalMeanTokenAccuracy) */
  metrics: Metrics
  /** seconds it took */
  evalRuntime: number
  /** rows a second */
  evalSamplesPerSecond: number
  /** batches a second */
  evalStepsPerSecond: number
}

/** What the model as it is answers to the prompts of evalPrompts, behind an `eval`. */
export interface AnswersEvent {
  /** after an evaluation, where there are evalPrompts */
  type: 'answers'
  /** optimizer steps done */
  step: number
  /** epochs done, with their fraction */
  epoch: number
  /** in the file's order; `ending`: why an answer ended, as `generate` says it, or `stopped` with the run */
  answers: readonly { prompt: string; answer: string; ending: string }[]
}

/** A checkpoint was written. */
export interface SaveEvent {
  /** after a checkpoint was written */
  type: 'save'
  /** optimizer steps done */
  step: number
  /** its folder */
  path: string
}

/** Worth knowing, and nothing wrong. */
export interface NoteEvent {
  /** worth knowing */
  type: 'note'
  /** what it is */
  message: string
}

/** Something that is probably not meant. */
export interface WarningEvent {
  /** probably not meant */
  type: 'warning'
  /** what it is, and what to do */
  message: string
}

/** TRL's TrainOutput.metrics: of this call, which in a resumed run is the rest of it; samples are the rows there were, not full batches */
export interface TrainMetrics {
  /** seconds of this call */
  trainRuntime: number
  /** rows a second */
  trainSamplesPerSecond: number
  /** optimizer steps a second */
  trainStepsPerSecond: number
  /** floating-point operations of the run so far */
  totalFlos: number
  /** mean loss over the steps */
  trainLoss: number
  /** epochs done, with their fraction */
  epoch: number
}

/** A run is over. */
export interface EndEvent {
  /** the last event */
  type: 'end'
  /** optimizer steps done */
  step: number
  /** how it went */
  metrics: TrainMetrics
  /** of this call: the rows' tokens, and the most memory of the host that the process ever had, in bytes */
  usage: { tokens: number; peakBytes: number }
  /** of the whole run, what was done before this call too: the rows' tokens, and the last loss that was logged (null: none was) */
  whole: { tokens: number; loss: number | null }
  /** false: it was stopped before its last step */
  finished: boolean
  /** the checkpoint that has the model as the run leaves it; null: none has */
  checkpoint: string | null
  /** the checkpoint to go on from, where the run was stopped before its last step; null also where it was before the first */
  stopped: string | null
}

/** What comes between start and end. */
export type ProgressEvent = StepEvent | LogEvent | EvalEvent | AnswersEvent | SaveEvent | NoteEvent | WarningEvent
/** What a run says, in order: one start, then what comes, one end. */
export type TrainEvent = StartEvent | ProgressEvent | EndEvent

/** An entry of trainer_state.json's log_history: TRL's names, `step` last, speeds left out as TRL has none. */
export function logEntry(event: LogEvent | EvalEvent | EndEvent): Record<string, number> {
  const { type: _, step, ...rest } = event
  const entry: Record<string, number> = {}
  for (const [key, value] of Object.entries({ ...rest, ...rest.metrics }))
    if (typeof value === 'number' && !SPEEDS.has(key)) entry[snake(key)] = value
  return { ...entry, step }
}

const SPEEDS = new Set<string>(['tokensPerSecond', 'computedTokensPerSecond', 'share'] satisfies (keyof Speed)[])

/** No name of a metric or an option has a digit behind an underscore, so the rule from snake to camel has an inverse here. */
export function snake(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)
}
