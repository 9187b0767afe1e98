/** Options of all trainers, whatever they train towards. Written by tools/config-types.ts from the tables beside this file. */

/** What `args` of all trainers take. */
// biome-ignore format: written by a tool
export interface CommonConfig {
  /** Not supported, and accepted only where it asks for nothing: its keys have options of their own: dtype, modelRevision, loadIn4bit. */
  modelInitKwargs?: null
  /** Accepted, though there is nothing left for it to do: code from a checkpoint is never run; the families saqr knows need none. */
  trustRemoteCode?: boolean
  /** Threads that prepare rows, at most one a processor, 8 in all; default: 1, as more were never measured faster, least so for rows with numbers. */
  datasetNumProc?: number | null
  /** Rows of a micro-batch; default: 8. */
  perDeviceTrainBatchSize?: number
  /** Micro-batches of an optimizer step; how a step is cut into passes is the planner’s business; default: 1. */
  gradientAccumulationSteps?: number
  /** Times that all rows are gone through; parts of an epoch are fine; default: 3; no effect beside maxSteps. */
  numTrainEpochs?: number
  /** Optimizer steps; -1: as many as numTrainEpochs need; default: -1. */
  maxSteps?: number
  /** Of everything random: adapter, dropout, order of rows; default: 42. */
  seed?: number
  /** Of the order of rows; default: seed; no effect without trainSamplingStrategy random. */
  dataSeed?: number | null
  /** Accepted, though there is nothing left for it to do: the planner cuts a step into passes that fit; the batch stays what you asked for. */
  autoFindBatchSize?: boolean
  /** Accepted, though there is nothing left for it to do: the same seed always gives the same bits. */
  fullDeterminism?: boolean
  /** Leave the last batch of an epoch out where it is not full; default: false. */
  dataloaderDropLast?: boolean
  /** Accepted, though there is nothing left for it to do: rows are token ids in memory before training starts. */
  dataloaderNumWorkers?: number
  /** Accepted, though there is nothing left for it to do: a step uploads a few numbers a token; there is nothing to pin. */
  dataloaderPinMemory?: boolean
  /** Accepted, though there is nothing left for it to do: there are no loader processes. */
  dataloaderPersistentWorkers?: boolean
  /** Accepted, though there is nothing left for it to do: rows are token ids in memory before training starts. */
  dataloaderPrefetchFactor?: number | null
  /** Accepted, though there is nothing left for it to do: there are no loader processes. */
  dataloaderMultiprocessingContext?: string | null
  /** Accepted, though there is nothing left for it to do: batches always come in order. */
  dataloaderInOrder?: boolean
  /** Accepted, though there is nothing left for it to do: columns that no row shape uses are left alone. */
  removeUnusedColumns?: boolean
  /** Accepted, though there is nothing left for it to do: only group_by_length reads it. */
  lengthColumnName?: string
  /** Weight decay, decoupled (of sgd, rmsprop and adagrad: added to the gradient); biases and norm weights have none; default: 0. */
  weightDecay?: number
  /** Decay of the first moment; default: 0.9; no effect with optim sgd, rmsprop, adagrad or adafactor. */
  adamBeta1?: number
  /** Decay of the second moment; default: 0.999; no effect with optim sgd, rmsprop, adagrad or adafactor. */
  adamBeta2?: number
  /** Added to the root of the second moment; default: 1e-8; no effect with optim lion_32bit, sgd, rmsprop, adagrad or adafactor. */
  adamEpsilon?: number
  /** Gradients are scaled down to this norm; 0: never; default: 1. */
  maxGradNorm?: number
  /** AdamW with states in f32 or in bitsandbytes’ 8 bits (paged, fused, XLA’s, NPU’s: the same), Lion, SGD, RMSprop, Adagrad, or Adafactor as the Trainer sets it; default: adamw_torch_fused. */
  optim?: 'adamw_torch' | 'adamw_torch_fused' | 'paged_adamw_32bit' | 'adamw_8bit' | 'adamw_bnb_8bit' | 'paged_adamw_8bit' | 'adamw_torch_xla' | 'adamw_torch_npu_fused' | 'lion_32bit' | 'paged_lion_32bit' | 'sgd' | 'adafactor' | 'rmsprop' | 'adagrad'
  /** Arguments of sgd: momentum=0.9,nesterov=true (AdamW’s and Lion’s are options of their own); default: null. */
  optimArgs?: string | null
  /** Not supported, and accepted only where it asks for nothing: low-rank gradient projections are not supported yet; use adamw_8bit for little memory. */
  optimTargetModules?: null
  /** How the learning rate goes on after warm-up; reduce_lr_on_plateau and greedy follow the evaluation rows; default: linear. */
  lrSchedulerType?: 'linear' | 'cosine' | 'cosine_with_restarts' | 'polynomial' | 'constant' | 'constant_with_warmup' | 'inverse_sqrt' | 'reduce_lr_on_plateau' | 'cosine_with_min_lr' | 'cosine_warmup_with_min_lr' | 'warmup_stable_decay' | 'greedy'
  /** Arguments of lrSchedulerType by the names transformers has, such as num_cycles, min_lr_rate or num_decay_steps; default: null. */
  lrSchedulerKwargs?: Record<string, unknown> | string | null
  /** Steps in which the learning rate rises from 0; below 1, a share of all steps; default: 0; no effect with this lrSchedulerType, which does not warm up. */
  warmupSteps?: number
  /** Not supported, and accepted only where it asks for nothing: label smoothing is not supported yet; leave it out. */
  labelSmoothingFactor?: 0
  /** Weights and products in bf16, sums and trained weights in f32 (the default); false: as dtype says. */
  bf16?: boolean | null
  /** Not supported, and accepted only where it asks for nothing: f16 training needs loss scaling, which saqr does not have yet; use bf16 true, or bf16 false for f32. */
  fp16?: false
  /** Not supported, and accepted only where it asks for nothing: evaluation runs in the precision of training; leave it out. */
  bf16FullEval?: false
  /** Not supported, and accepted only where it asks for nothing: f16 training needs loss scaling, which saqr does not have yet; use bf16 true, or bf16 false for f32. */
  fp16FullEval?: false
  /** Not supported, and accepted only where it asks for nothing: f32 products are exact f32; leave it out, or use bf16 true for speed. */
  tf32?: null | false
  /** Train on the CPU whatever else there is (device cpu); default: false. */
  useCpu?: boolean
  /** Accepted, though there is nothing left for it to do: the planner keeps, recomputes or moves activations block by block to fit memory. */
  activationCheckpointing?: boolean | null
  /** Accepted, though there is nothing left for it to do: the planner keeps, recomputes or moves activations block by block to fit memory. */
  activationCheckpointingKwargs?: Record<string, unknown> | string | null
  /** Accepted, though there is nothing left for it to do: the planner keeps, recomputes or moves activations block by block to fit memory. */
  gradientCheckpointing?: boolean
  /** Accepted, though there is nothing left for it to do: the planner keeps, recomputes or moves activations block by block to fit memory. */
  gradientCheckpointingKwargs?: Record<string, unknown> | string | null
  /** Accepted, though there is nothing left for it to do: a step is one plan of fused kernels already. */
  torchCompile?: boolean
  /** Accepted, though there is nothing left for it to do: a step is one plan of fused kernels already. */
  torchCompileBackend?: string | null
  /** Accepted, though there is nothing left for it to do: a step is one plan of fused kernels already. */
  torchCompileMode?: string | null
  /** Accepted, though there is nothing left for it to do: a step is one plan of fused kernels already. */
  useLigerKernel?: boolean
  /** Accepted, though there is nothing left for it to do: a step is one plan of fused kernels already. */
  ligerKernelConfig?: Record<string, unknown> | null
  /** Accepted, though there is nothing left for it to do: training keeps no KV cache; generation always does. */
  useCache?: boolean
  /** Accepted, though there is nothing left for it to do: memory is one arena laid out before the first step. */
  torchEmptyCacheSteps?: number | null
  /** When metrics are logged; default: steps. */
  loggingStrategy?: 'no' | 'steps' | 'epoch'
  /** Steps between two logs; below 1, a share of all steps; default: 10; no effect without loggingStrategy steps. */
  loggingSteps?: number
  /** Log the first step too; default: false. */
  loggingFirstStep?: boolean
  /** Where events go beside the terminal: jsonl, tensorboard, wandb (its WANDB_… variables say how), several of them, all or none; default: none. */
  reportTo?: 'none' | 'all' | 'jsonl' | 'tensorboard' | 'wandb' | ('none' | 'all' | 'jsonl' | 'tensorboard' | 'wandb')[] | null
  /** Name of the run in what is logged; default: outputDir; in wandb WANDB_NAME, else one that it finds. */
  runName?: string | null
  /** True: plain lines on a terminal too; default: a live line on a terminal, plain lines in a pipe. */
  disableTqdm?: boolean | null
  /** Accepted, though there is nothing left for it to do: one process trains and logs. */
  logOnEachNode?: boolean
  /** Accepted, though there is nothing left for it to do: a loss that is not finite ends the run, naming the layer and op it came from. */
  loggingNanInfFilter?: boolean
  /** Accepted, though there is nothing left for it to do: num_tokens is in every log. */
  includeNumInputTokensSeen?: boolean | string
  /** Accepted, though there is nothing left for it to do: there is one level, and --verbose for stack traces. */
  logLevel?: string
  /** Accepted, though there is nothing left for it to do: one process trains and logs. */
  logLevelReplica?: string
  /** Accepted, though there is nothing left for it to do: only Trackio reads it, and report_to does not have that. */
  project?: string
  /** Accepted, though there is nothing left for it to do: only Trackio reads it, and report_to does not have that. */
  trackioSpaceId?: string | null
  /** Accepted, though there is nothing left for it to do: only Trackio reads it, and report_to does not have that. */
  trackioBucketId?: string | null
  /** Accepted, though there is nothing left for it to do: only Trackio reads it, and report_to does not have that. */
  trackioStaticSpaceId?: string | false | null
  /** When the evaluation rows are scored; default: no. */
  evalStrategy?: 'no' | 'steps' | 'epoch'
  /** Steps between two evaluations; default: loggingSteps; below 1, a share of all steps; no effect without evalStrategy steps. */
  evalSteps?: number | null
  /** Rows whose mean loss is one term of eval_loss; default: 8; no effect without evalStrategy steps or epoch. */
  perDeviceEvalBatchSize?: number
  /** Steps, or with evalStrategy epoch epochs, before the first evaluation; default: 0; no effect without evalStrategy steps or epoch. */
  evalDelay?: number
  /** Evaluate before the first step too; default: false. */
  evalOnStart?: boolean
  /** Accepted, though there is nothing left for it to do: evaluation sums losses; logits are never held or gathered. */
  predictionLossOnly?: boolean
  /** Accepted, though there is nothing left for it to do: evaluation sums losses; logits are never held or gathered. */
  evalDoConcatBatches?: boolean
  /** Accepted, though there is nothing left for it to do: evaluation sums losses; logits are never held or gathered. */
  evalUseGatherObject?: boolean
  /** Accepted, though there is nothing left for it to do: evaluation sums losses; logits are never held or gathered. */
  evalAccumulationSteps?: number | null
  /** Accepted, though there is nothing left for it to do: evaluation sums losses; logits are never held or gathered. */
  includeForMetrics?: string[]
  /** Accepted, though there is nothing left for it to do: evaluation sums losses; logits are never held or gathered. */
  batchEvalMetrics?: boolean
  /** At the end, the model is that of the best evaluation that has a checkpoint; default: false. */
  loadBestModelAtEnd?: boolean
  /** Evaluated metric that loadBestModelAtEnd, saveStrategy best, earlyStoppingPatience and the schedules reduce_lr_on_plateau and greedy follow; default: loss; no effect without loadBestModelAtEnd, saveStrategy best, earlyStoppingPatience or a lrSchedulerType that follows a metric (reduce_lr_on_plateau, greedy). */
  metricForBestModel?: string | null
  /** Is more of that metric better? default: yes, unless its name ends with loss; no effect without loadBestModelAtEnd, saveStrategy best or earlyStoppingPatience. */
  greaterIsBetter?: boolean | null
  /** Accepted, though there is nothing left for it to do: sft always trains. */
  doTrain?: boolean
  /** Accepted, though there is nothing left for it to do: eval_strategy says when to evaluate. */
  doEval?: boolean
  /** Not supported, and accepted only where it asks for nothing: sft predicts nothing; use saqr generate with the trained model. */
  doPredict?: false
  /** Folder for checkpoints and the trained model; default: trainer_output. */
  outputDir?: string | null
  /** When a checkpoint is saved; best: after an evaluation that is better than those before; default: steps. */
  saveStrategy?: 'no' | 'steps' | 'epoch' | 'best'
  /** Steps between two checkpoints; below 1, a share of all steps; default: 500; no effect without saveStrategy steps. */
  saveSteps?: number
  /** Checkpoints that stay, the newest and the best among them; older ones are deleted; default: null. */
  saveTotalLimit?: number | null
  /** Checkpoint folder to go on from; true: the last one in outputDir; default: null. */
  resumeFromCheckpoint?: boolean | string | null
  /** Not supported, and accepted only where it asks for nothing: a checkpoint always holds all that a resumed run needs; the trained model in output_dir is the model alone. */
  saveOnlyModel?: false
  /** Accepted, though there is nothing left for it to do: one process trains and saves. */
  saveOnEachNode?: boolean
  /** Accepted, though there is nothing left for it to do: SIGINT and SIGTERM always save a checkpoint. */
  enableJitCheckpoint?: boolean
  /** Not supported, and accepted only where it asks for nothing: a resumed run goes on bit for bit, with the rows that come next; leave it out. */
  ignoreDataSkip?: false
  /** Accepted, though there is nothing left for it to do: all state of a run is in its checkpoints. */
  restoreCallbackStatesFromCheckpoint?: boolean
  /** Upload outputDir (the model, its tokenizer and card; no checkpoints) to the Hub when the run has ended; the repository is opened before it begins; default: false. */
  pushToHub?: boolean
  /** Access token that may write; default: HF_TOKEN, or what `hf auth login` keeps; no effect without pushToHub. */
  hubToken?: string | null
  /** Of a repository that is made; default: as its owner’s settings say; no effect without pushToHub. */
  hubPrivateRepo?: boolean | null
  /** Repository, owner/name or a name of the token’s owner; default: the last part of outputDir; no effect without pushToHub. */
  hubModelId?: string | null
  /** Both end and every_save upload the model once, at the end; default: every_save; no effect without pushToHub. */
  hubStrategy?: 'every_save' | 'end'
  /** Accepted, though there is nothing left for it to do: the one upload, at the end, is waited for. */
  hubAlwaysPush?: boolean
  /** Branch that is uploaded to, made from main where there is none; default: main; no effect without pushToHub. */
  hubRevision?: string | null
  /** Not supported, and accepted only where it asks for nothing: training on several devices is not supported yet; start one process. */
  localRank?: -1 | 0
  /** Accepted, though there is nothing left for it to do: one process trains on one device. */
  ddpFindUnusedParameters?: boolean | null
  /** Accepted, though there is nothing left for it to do: one process trains on one device. */
  ddpBucketCapMb?: number | null
  /** Accepted, though there is nothing left for it to do: one process trains on one device. */
  ddpBroadcastBuffers?: boolean | null
  /** Accepted, though there is nothing left for it to do: one process trains on one device. */
  ddpStaticGraph?: boolean | null
  /** Accepted, though there is nothing left for it to do: one process trains on one device. */
  ddpBackend?: string | null
  /** Accepted, though there is nothing left for it to do: one process trains on one device. */
  ddpTimeout?: number
  /** Not supported, and accepted only where it asks for nothing: training on several devices is not supported yet; memory fits the model onto one. */
  fsdp?: null | '' | false
  /** Not supported, and accepted only where it asks for nothing: training on several devices is not supported yet; memory fits the model onto one. */
  fsdpConfig?: null | Record<string, never>
  /** Not supported, and accepted only where it asks for nothing: training on several devices is not supported yet; memory fits the model onto one. */
  deepspeed?: null
  /** Not supported, and accepted only where it asks for nothing: training on several devices is not supported yet; memory fits the model onto one. */
  acceleratorConfig?: null
  /** Not supported, and accepted only where it asks for nothing: training on several devices is not supported yet; memory fits the model onto one. */
  parallelismConfig?: null
  /** Not supported, and accepted only where it asks for nothing: a value that is not finite always ends the run with the layer and op it came from. */
  debug?: '' | []
  /** Accepted, though there is nothing left for it to do: the memory table is known, and printed, before the first step. */
  skipMemoryMetrics?: boolean
  /** Tokens of a pass at the most; default: what fits. */
  maxPassTokens?: number | null
  /** Rows of a step that begin alike share those tokens (never with dropout or noise); default: true. */
  prefixSharing?: boolean
  /** Prepared rows are kept in HF_HOME (saqr/rows), so that the next run on the same ones starts at once; never those of formattingFunc, nor of rows that are streamed; default: true. */
  cacheRows?: boolean
  /** LoRA+: the learning rate of lora_B, biases and norms, in times that of the rest; default: the same for all. */
  loraplusLrRatio?: number | null
  /** Learning rate of low-rank parts on embeddings where loraplusLrRatio is given; default: 0.000001; no effect without loraplusLrRatio. */
  loraplusLrEmbedding?: number
  /** Learning rate of embeddings and head where they are trained whole (Unsloth’s); default: learningRate. */
  embeddingLearningRate?: number | null
  /** End the run after so many evaluations that are no better than the best before them (EarlyStoppingCallback’s); default: never. */
  earlyStoppingPatience?: number | null
  /** By how much an evaluation has to be better than the best before it to count as better; default: 0; no effect without earlyStoppingPatience. */
  earlyStoppingThreshold?: number
  /** File of prompts that the model answers greedily at each evaluation (up to 256 tokens): a text a line, or .json/.jsonl rows with text, prompt or messages; their keys and values lie beside the budget of memory; default: null; no effect without evalStrategy steps or epoch. */
  evalPrompts?: string | null
  /** Folder of TensorBoard’s event files; default: TENSORBOARD_LOGGING_DIR, else one a run in outputDir/runs; no effect without reportTo tensorboard. */
  loggingDir?: string | null
  /** Accepted, though there is nothing left for it to do: an existing output_dir is written into; nothing in it is deleted but old checkpoints under save_total_limit. */
  overwriteOutputDir?: boolean
  /** Accepted, though there is nothing left for it to do: weights are always saved as safetensors. */
  saveSafetensors?: boolean
  /** Accepted, though there is nothing left for it to do: tokens per second are in every log. */
  includeTokensPerSecond?: boolean
  /** Accepted, though there is nothing left for it to do: a step is one plan of fused kernels already. */
  useLiger?: boolean
  /** Not supported, and accepted only where it asks for nothing: Apple GPUs are not supported yet; use device cpu. */
  useMpsDevice?: false
  /** Accepted, though there is nothing left for it to do: bf16 is built in. */
  halfPrecisionBackend?: string
  /** Not supported, and accepted only where it asks for nothing: it saves padding, and saqr does not pad; leave it out. */
  groupByLength?: false
  /** Not supported, and accepted only where it asks for nothing: one process trains on one device; there is nothing to launch. */
  accelerateConfig?: null
  /** Not supported, and accepted only where it asks for nothing: training on several devices is not supported yet; start one process. */
  numProcesses?: 1
  /** @deprecated Taken as `maxLength`. */
  maxSeqLength?: number | null
  /** @deprecated Taken as `evalStrategy`. */
  evaluationStrategy?: 'no' | 'steps' | 'epoch'
  /** @deprecated Taken as `warmupSteps`. */
  warmupRatio?: number
  /** @deprecated Taken as `useCpu`. */
  noCuda?: boolean
  /** @deprecated Taken as `perDeviceTrainBatchSize`. */
  perGpuTrainBatchSize?: number
  /** @deprecated Taken as `perDeviceEvalBatchSize`. */
  perGpuEvalBatchSize?: number
}

/** What a run goes by: options of all trainers, filled in. */
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
  /** Weight decay, decoupled (of sgd, rmsprop and adagrad: added to the gradient); biases and norm weights have none; default: 0. */
  weightDecay: number
  /** Decay of the first moment; default: 0.9; no effect with optim sgd, rmsprop, adagrad or adafactor. */
  adamBeta1: number
  /** Decay of the second moment; default: 0.999; no effect with optim sgd, rmsprop, adagrad or adafactor. */
  adamBeta2: number
  /** Added to the root of the second moment; default: 1e-8; no effect with optim lion_32bit, sgd, rmsprop, adagrad or adafactor. */
  adamEpsilon: number
  /** Gradients are scaled down to this norm; 0: never; default: 1. */
  maxGradNorm: number
  /** AdamW with states in f32 or in bitsandbytes’ 8 bits (paged, fused, XLA’s, NPU’s: the same), Lion, SGD, RMSprop, Adagrad, or Adafactor as the Trainer sets it; default: adamw_torch_fused. */
  optim: 'adamw_torch' | 'adamw_torch_fused' | 'paged_adamw_32bit' | 'adamw_8bit' | 'adamw_bnb_8bit' | 'paged_adamw_8bit' | 'adamw_torch_xla' | 'adamw_torch_npu_fused' | 'lion_32bit' | 'paged_lion_32bit' | 'sgd' | 'adafactor' | 'rmsprop' | 'adagrad'
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
  /** Upload outputDir (the model, its tokenizer and card; no checkpoints) to the Hub when the run has ended; the repository is opened before it begins; default: false. */
  pushToHub: boolean
  /** Access token that may write; default: HF_TOKEN, or what `hf auth login` keeps; no effect without pushToHub. */
  hubToken: string | null
  /** Of a repository that is made; default: as its owner’s settings say; no effect without pushToHub. */
  hubPrivateRepo: boolean | null
  /** Repository, owner/name or a name of the token’s owner; default: the last part of outputDir; no effect without pushToHub. */
  hubModelId: string | null
  /** Both end and every_save upload the model once, at the end; default: every_save; no effect without pushToHub. */
  hubStrategy: 'every_save' | 'end'
  /** Branch that is uploaded to, made from main where there is none; default: main; no effect without pushToHub. */
  hubRevision: string | null
  /** Threads that prepare rows, at most one a processor, 8 in all; default: 1, as more were never measured faster, least so for rows with numbers. */
  datasetNumProc: number | null
  /** Tokens of a pass at the most; default: what fits. */
  maxPassTokens: number | null
  /** Rows of a step that begin alike share those tokens (never with dropout or noise); default: true. */
  prefixSharing: boolean
  /** Prepared rows are kept in HF_HOME (saqr/rows), so that the next run on the same ones starts at once; never those of formattingFunc, nor of rows that are streamed; default: true. */
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
  /** Absent: a mixture's balance loss counts as config.json says (output_router_logits, router_aux_loss_coef). */
  routerAuxLossCoef?: number | null
  /** Absent: the objective takes no noise. */
  neftuneNoiseAlpha?: number | null
}
