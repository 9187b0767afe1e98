/** Options of the trainers, whatever they train towards. Written by tools/config-types.ts from the tables beside this file. */

/** What a run goes by: options of all trainers, whatever they train towards, filled in. */
// biome-ignore format: written by a tool
export interface CommonOptions {
  /** Rows of a micro-batch; default: 8. */
  perDeviceTrainBatchSize: number
  /** Micro-batches of an optimizer step; how a step is cut into passes is the planner’s business; default: 1. */
  gradientAccumulationSteps: number
  /** Times that all rows are gone through; parts of an epoch are fine; default: 3; no effect beside maxSteps. */
  numTrainEpochs: number
  /** Optimizer steps; -1: as many as numTrainEpochs need; default: -1. */
  maxSteps: number
  /** Of everything random: adapter, dropout, order of rows; default: 42. */
  seed: number
  /** Of the order of rows; default: seed; no effect without trainSamplingStrategy random. */
  dataSeed: number | null
  /** Order of rows in an epoch; default: random. */
  trainSamplingStrategy: 'random' | 'sequential'
  /** Leave the last batch of an epoch out where it is not full; default: false. */
  dataloaderDropLast: boolean
  /** Highest learning rate; default: 0.00002. */
  learningRate: number
  /** Weight decay, decoupled (of sgd: added to the gradient); biases and norm weights have none; default: 0. */
  weightDecay: number
  /** Decay of the first moment; default: 0.9; no effect with optim sgd or adafactor. */
  adamBeta1: number
  /** Decay of the second moment; default: 0.999; no effect with optim sgd or adafactor. */
  adamBeta2: number
  /** Added to the root of the second moment; default: 1e-8; no effect with optim lion_32bit, sgd or adafactor. */
  adamEpsilon: number
  /** Gradients are scaled down to this norm; 0: never; default: 1. */
  maxGradNorm: number
  /** AdamW with states in f32 or in bitsandbytes’ 8 bits (paged, fused, XLA’s and NPU’s are the same), Lion, SGD, or Adafactor as the Trainer sets it; default: adamw_torch_fused. */
  optim: 'adamw_torch' | 'adamw_torch_fused' | 'paged_adamw_32bit' | 'adamw_8bit' | 'adamw_bnb_8bit' | 'paged_adamw_8bit' | 'adamw_torch_xla' | 'adamw_torch_npu_fused' | 'lion_32bit' | 'paged_lion_32bit' | 'sgd' | 'adafactor'
  /** Arguments of sgd: momentum=0.9,nesterov=true (AdamW’s and Lion’s are options of their own); default: null. */
  optimArgs: string | null
  /** How the learning rate goes on after warm-up; reduce_lr_on_plateau and greedy follow the evaluation rows; default: linear. */
  lrSchedulerType: 'linear' | 'cosine' | 'cosine_with_restarts' | 'polynomial' | 'constant' | 'constant_with_warmup' | 'inverse_sqrt' | 'reduce_lr_on_plateau' | 'cosine_with_min_lr' | 'cosine_warmup_with_min_lr' | 'warmup_stable_decay' | 'greedy'
  /** Arguments of lrSchedulerType by the names transformers has, such as num_cycles, min_lr_rate or num_decay_steps; default: null. */
  lrSchedulerKwargs: Record<string, unknown> | string | null
  /** Steps in which the learning rate rises from 0; below 1, a share of all steps; default: 0; no effect with this lrSchedulerType, which does not warm up. */
  warmupSteps: number
  /** Weights and products in bf16, sums and trained weights in f32 (the default); false: as dtype says. */
  bf16: boolean | null
  /** Train on the CPU whatever else there is (device cpu); default: false. */
  useCpu: boolean
  /** When metrics are logged; default: steps. */
  loggingStrategy: 'no' | 'steps' | 'epoch'
  /** Steps between two logs; below 1, a share of all steps; default: 10; no effect without loggingStrategy steps. */
  loggingSteps: number
  /** Log the first step too; default: false. */
  loggingFirstStep: boolean
  /** Where events go beside the terminal: jsonl, tensorboard, wandb (its WANDB_… variables say how), several of them, all or none; default: none. */
  reportTo: 'none' | 'all' | 'jsonl' | 'tensorboard' | 'wandb' | ('none' | 'all' | 'jsonl' | 'tensorboard' | 'wandb')[] | null
  /** Name of the run in what is logged; default: outputDir; in wandb WANDB_NAME, else one that it finds. */
  runName: string | null
  /** True: plain lines on a terminal too; default: a live line on a terminal, plain lines in a pipe. */
  disableTqdm: boolean | null
  /** When the evaluation rows are scored; default: no. */
  evalStrategy: 'no' | 'steps' | 'epoch'
  /** Steps between two evaluations; default: loggingSteps; below 1, a share of all steps; no effect without evalStrategy steps. */
  evalSteps: number | null
  /** Rows whose mean loss is one term of eval_loss; default: 8; no effect without evalStrategy steps or epoch. */
  perDeviceEvalBatchSize: number
  /** Steps, or with evalStrategy epoch epochs, before the first evaluation; default: 0; no effect without evalStrategy steps or epoch. */
  evalDelay: number
  /** Evaluate before the first step too; default: false. */
  evalOnStart: boolean
  /** At the end, the model is that of the best evaluation that has a checkpoint; default: false. */
  loadBestModelAtEnd: boolean
  /** Evaluated metric that loadBestModelAtEnd, saveStrategy best, earlyStoppingPatience and the schedules reduce_lr_on_plateau and greedy follow; default: loss; no effect without loadBestModelAtEnd, saveStrategy best, earlyStoppingPatience or a lrSchedulerType that follows a metric (reduce_lr_on_plateau, greedy). */
  metricForBestModel: string | null
  /** Is more of that metric better? default: yes, unless its name ends with loss; no effect without loadBestModelAtEnd, saveStrategy best or earlyStoppingPatience. */
  greaterIsBetter: boolean | null
  /** Folder for checkpoints and the trained model; default: trainer_output. */
  outputDir: string | null
  /** When a checkpoint is saved; best: after an evaluation that is better than those before; default: steps. */
  saveStrategy: 'no' | 'steps' | 'epoch' | 'best'
  /** Steps between two checkpoints; below 1, a share of all steps; default: 500; no effect without saveStrategy steps. */
  saveSteps: number
  /** Checkpoints that stay, the newest and the best among them; older ones are deleted; default: null. */
  saveTotalLimit: number | null
  /** Checkpoint folder to go on from; true: the last one in outputDir; default: null. */
  resumeFromCheckpoint: boolean | string | null
  /** Tokens of a pass at the most; default: what fits. */
  maxPassTokens: number | null
  /** Rows of a step that begin alike share those tokens (never with dropout or noise); default: true. */
  prefixSharing: boolean
  /** Prepared rows are kept in HF_HOME (saqr/rows), so that the next run on the same ones starts at once; never those of formattingFunc; default: true. */
  cacheRows: boolean
  /** LoRA+: the learning rate of lora_B, biases and norms, in times that of the rest; default: the same for all. */
  loraplusLrRatio: number | null
  /** Learning rate of low-rank parts on embeddings where loraplusLrRatio is given; default: 0.000001; no effect without loraplusLrRatio. */
  loraplusLrEmbedding: number
  /** Learning rate of embeddings and head where they are trained whole (Unsloth’s); default: learningRate. */
  embeddingLearningRate: number | null
  /** End the run after so many evaluations that are no better than the best before them (EarlyStoppingCallback’s); default: never. */
  earlyStoppingPatience: number | null
  /** By how much an evaluation has to be better than the best before it to count as better; default: 0; no effect without earlyStoppingPatience. */
  earlyStoppingThreshold: number
  /** File of prompts that the model answers greedily at each evaluation (up to 256 tokens): a text a line, or .json/.jsonl rows with text, prompt or messages; their keys and values lie beside the budget of memory; default: null; no effect without evalStrategy steps or epoch. */
  evalPrompts: string | null
  /** Folder of TensorBoard’s event files; default: TENSORBOARD_LOGGING_DIR, else one a run in outputDir/runs; no effect without reportTo tensorboard. */
  loggingDir: string | null
  /** Absent: the objective leaves a mixture's balance loss out. */
  routerAuxLossCoef?: number | null
  /** Absent: the objective takes no noise. */
  neftuneNoiseAlpha?: number | null
}
