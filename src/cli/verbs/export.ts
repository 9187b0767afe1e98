/** `saqr export`: a trained model in the form that what runs it next reads. */
import { join } from 'node:path'
import { z } from 'zod'
import { readPromptForm } from '../../data/prompt-form.ts'
import { openDevice } from '../../devices/open.ts'
import { writeCard } from '../../engine/card.ts'
import type { LanguageModel } from '../../engine/language-model.ts'
import { loadAdapter } from '../../engine/load-adapter.ts'
import { saveTrained } from '../../engine/save.ts'
import { weightedAdapter } from '../../engine/weighted-adapter.ts'
import { option, SaqrError, say } from '../../error.ts'
import { ADAPTER_TYPES, isAdapterType, saveGgufAdapter } from '../../export/gguf-adapter.ts'
import { mergedLines, saveMerged } from '../../export/merged.ts'
import { besideGguf, ggufLines, ggufPath, type SavedGguf, saveGguf } from '../../export/save-gguf.ts'
import { COMBINATIONS, type Combined, PRUNES, RANDOM_COMBINATIONS, SVD, TIES, weightedBy } from '../../export/weighted-options.ts'
import { isQuantization, QUANTIZATIONS } from '../../formats/gguf/mixture.ts'
import { filesOf } from '../../formats/gguf/split.ts'
import { exists, isFile } from '../../hub/files.ts'
import { nearest } from '../../hub/nearest.ts'
import type { Need } from '../../hub/need.ts'
import { beside, honoured } from '../../train/options/field.ts'
import { described, flag, optionalName, optionalTexts, size, sizeInBytes } from '../../train/options/schemas.ts'
import { openForGeneration } from '../load.ts'
import { modelFields } from '../sampling-fields.ts'
import { defineVerb, type Io } from '../verb.ts'

const TYPES = Object.keys(QUANTIZATIONS).join(', ')

const { adapter: _, ...shared } = modelFields
const model = {
  ...shared,
  dtype: {
    ...shared.dtype,
    help: say`what the trained model is asked in, and merged weights are written in: bfloat16, float32, or as the checkpoint is stored (auto); default: bfloat16, float32 with ${option('bf16')} false`,
  },
  load_in_4bit: { ...shared.load_in_4bit, help: 'the adapter was trained over NF4: what is written is that base, dequantised' },
}
const ASKED: Need = {
  met: (o) => o.gguf !== null || o.merged === true,
  unless: say`without ${option('gguf')} or ${option('merged')}`,
}
const ADAPTERS: Need = { met: (o) => o.adapters !== null, unless: say`without ${option('adapters')}` }
const GGUF: Need = { met: (o) => o.gguf !== null, unless: say`without ${option('gguf')}` }
const MERGED: Need = { met: (o) => o.merged === true, unless: say`without ${option('merged')}` }
const what = {
  gguf: honoured(
    described(optionalTexts, `types of ${TYPES}`, () => true),
    null,
    `GGUF files with the adapter merged in, one for each type: ${TYPES}`,
  ),
  gguf_adapter: honoured(
    described(optionalTexts, `types of ${ADAPTER_TYPES.join(', ')}`, () => true),
    null,
    `the adapter alone as GGUF files, which llama.cpp lays over a file of the base: ${ADAPTER_TYPES.join(', ')}`,
  ),
  merged: honoured(flag, false, say`base and adapter as one checkpoint (safetensors), in what ${option('dtype')} says`),
  peft: honoured(flag, false, 'the adapter as PEFT reads it'),
  adapters: honoured(
    described(optionalTexts, 'adapters as FOLDER=WEIGHT', () => true),
    null,
    'adapters over model_name_or_path as one, each as FOLDER=WEIGHT: out-a=0.7 out-b=0.3',
  ),
  combination_type: beside(
    ADAPTERS,
    honoured(
      z.enum(COMBINATIONS),
      'cat',
      'cat: what they do added up, exactly; svd: the nearest to it of a lower rank; linear: A and B added, of one rank; ties, magnitude_prune: of their largest values',
      RANDOM_COMBINATIONS,
    ),
  ),
  density: beside(
    PRUNES,
    honoured(
      z.number().min(0).max(1).nullable(),
      null,
      'share of the values of each A and B that ties and magnitude_prune keep, from 0 to 1: the largest',
    ),
  ),
  majority_sign_method: beside(
    TIES,
    honoured(
      z.enum(['total', 'frequency']),
      'total',
      'the sign that ties keeps of a value: that of the sum over adapters (total), or of most of them (frequency)',
    ),
  ),
  svd_rank: beside(
    SVD,
    honoured(z.int().min(1).nullable(), null, 'rank of the adapter that svd makes; default: the largest of those given'),
  ),
  output_dir: honoured(optionalName, null, 'folder for what is written; with one GGUF type also a file named ….gguf'),
  overwrite: honoured(flag, false, 'write over what is there already'),
  max_shard_size: beside(MERGED, honoured(size, '5GB', 'bytes of one file of weights at most, where it holds more than one tensor')),
  split_max_size: beside(
    GGUF,
    honoured(
      size.nullable(),
      null,
      'bytes of one GGUF file at most, such as 2GB: a larger model lies in several, NAME-00001-of-00003.gguf and so on, which llama.cpp reads, and Ollama from version 0.30 on; default: one file',
    ),
  ),
  check: beside(
    ASKED,
    honoured(
      flag,
      true,
      'open what was written again and ask it beside the trained model; what they are apart is an error where the type doesn’t explain it',
    ),
  ),
}

export const exportModel = defineVerb({
  name: 'export',
  summary: 'write a trained model as GGUF files (llama.cpp), merged, or as a PEFT adapter',
  usage: '--model_name_or_path MODEL (--gguf TYPE … | --gguf_adapter TYPE … | --merged | --peft) --output_dir DIR',
  examples: [
    'saqr export --model_name_or_path out --gguf q4_k_m --output_dir out-gguf',
    'saqr export --model_name_or_path out --merged --output_dir out-merged',
  ],
  fields: { ...model, ...what },
  themes: [
    { title: 'What and where', fields: what },
    { title: 'Model', fields: model },
  ],
  async run({ options: o, io }) {
    if (o.modelNameOrPath === null)
      throw new SaqrError('OPTION_INVALID', say`no model: name a Hub id, a folder or a .gguf file with ${option('modelNameOrPath')}`)
    const asked = [o.gguf !== null, o.ggufAdapter !== null, o.merged, o.peft].filter(Boolean).length
    if (asked !== 1)
      throw new SaqrError(
        'OPTION_INVALID',
        say`${asked === 0 ? 'nothing' : 'more than one thing'} to write: give one of ${option('gguf')}, ${option('ggufAdapter')}, ${option('merged')} and ${option('peft')}`,
      )
    if (o.outputDir === null) throw new SaqrError('OPTION_INVALID', say`nowhere to write to: name a folder with ${option('outputDir')}`)
    const types = typesOf(o.gguf ?? [], 'gguf', isQuantization, Object.keys(QUANTIZATIONS))
    const adapterTypes = typesOf(o.ggufAdapter ?? [], 'ggufAdapter', isAdapterType, ADAPTER_TYPES)
    const files = [...types, ...adapterTypes.map((type) => `${type}-lora`)].map((type) => ggufPath(o.outputDir!, type))
    if (files.length > 1 && o.outputDir.endsWith('.gguf'))
      throw new SaqrError(
        'OPTION_INVALID',
        say`${option(types.length > 0 ? 'gguf' : 'ggufAdapter')} names ${files.length} types, and ${o.outputDir} is one file: name a folder`,
      )
    if (!o.overwrite) refuseTaken(files.length === 0 ? MARKS.map((mark) => `${o.outputDir}/${mark}`) : files.flatMap(filesOf))
    const weighted = weightsOf(o.adapters ?? [])
    if (o.adapters !== null) weightedBy(o)
    const device = await openDevice(o.useCpu ? 'cpu' : o.device, { threads: o.threads })
    try {
      const { language: opened, tokenizer, notes } = await openForGeneration(o.modelNameOrPath, o, device, io)
      for (const note of notes) io.err.write(`${note}\n`)
      const language = o.adapters === null ? opened : combined(opened, weighted, o)
      if (o.merged) {
        const ask = o.check ? { tokenizer } : undefined
        const request = { ask, threads: o.threads, shardBytes: sizeInBytes(o.maxShardSize), signal: io.signal }
        tell(io, mergedLines(await saveMerged(language, o.outputDir, request)))
      } else if (o.peft) {
        if (language.adapter.config === null)
          throw new SaqrError(
            'OPTION_INVALID',
            say`${o.modelNameOrPath} has no adapter, so there is none to write: ${option('merged')} writes the model itself`,
          )
        await saveTrained(language, o.outputDir)
        const kept = await writeCard(language, o.outputDir, { kind: 'adapter' })
        if (kept !== null) io.err.write(`${kept}\n`)
      }
      if (o.peft) io.out.write(`${o.outputDir}\n`)
      for (const [i, type] of adapterTypes.entries()) tell(io, ggufLines(await saveGgufAdapter(language, files[i]!, type)))
      const all: SavedGguf[] = []
      for (const [i, quantization] of types.entries()) {
        const saved = await saveGguf(language, tokenizer, files[i]!, {
          quantization,
          check: o.check,
          threads: o.threads,
          splitBytes: o.splitMaxSize === null ? undefined : sizeInBytes(o.splitMaxSize),
          signal: io.signal,
          onProgress: progress(io, files[i]!),
        })
        tell(io, ggufLines(saved))
        all.push(saved)
      }
      if (all.length > 0) for (const note of await besideGguf(language, tokenizer, o.outputDir, all)) io.err.write(`${note}\n`)
      return 0
    } finally {
      device.dispose()
    }
  },
})

/** "FOLDER=WEIGHT". @throws SaqrError OPTION_INVALID, FORMAT_NOT_FOUND */
function weightsOf(given: readonly string[]): { folder: string; weight: number }[] {
  return given.map((one) => {
    const [, folder, weight] = /^(.+)=([^=]+)$/.exec(one) ?? []
    if (folder === undefined || weight!.trim() === '' || !Number.isFinite(Number(weight)))
      throw new SaqrError('OPTION_INVALID', say`${option('adapters')} ${one}: give each as FOLDER=WEIGHT, such as out-a=0.7`)
    if (!isFile(join(folder, 'adapter_config.json')))
      throw new SaqrError(
        'FORMAT_NOT_FOUND',
        say`${option('adapters')}: ${folder} is no folder of an adapter: it has no adapter_config.json`,
      )
    return { folder, weight: Number(weight) }
  })
}

interface CombineOptions extends Combined {
  modelNameOrPath: string | null
  modelRevision: string
}

/** @throws SaqrError OPTION_INVALID, FORMAT_ADAPTER */
function combined(base: LanguageModel, given: readonly { folder: string; weight: number }[], o: CombineOptions): LanguageModel {
  if (base.adapter.config !== null)
    throw new SaqrError(
      'OPTION_INVALID',
      say`${option('modelNameOrPath')} is an adapter itself: name the base of ${option('adapters')}, and this one among them`,
    )
  const parts = given.map(({ folder, weight }) => {
    const language = loadAdapter(base.opened, folder)
    language.promptForm = readPromptForm(folder)
    return { name: folder, language, weight }
  })
  // those given may each name it otherwise: a job's adapter has the path of where it was trained
  const named = { baseModelNameOrPath: o.modelNameOrPath, revision: o.modelRevision === 'main' ? null : o.modelRevision }
  const made = weightedAdapter(parts, weightedBy(o), named)
  for (const { language } of parts) language.disposeAdapter()
  return made
}

/** files by which a folder is a model or an adapter */
const MARKS = ['config.json', 'adapter_config.json']

/** @throws SaqrError OPTION_INVALID with the nearest type */
function typesOf<T extends string>(
  given: readonly string[],
  name: 'gguf' | 'ggufAdapter',
  isType: (name: string) => name is T,
  all: readonly string[],
): T[] {
  return given
    .flatMap((list) => list.split(','))
    .map((one) => {
      const type = one.trim().toLowerCase()
      if (isType(type)) return type
      const close = nearest(type, all)
      throw new SaqrError(
        'OPTION_INVALID',
        say`${option(name)} ${one}: ${close ? `did you mean ${close}? ` : ''}The types are ${all.join(', ')}`,
      )
    })
}

function tell({ out, err }: Io, [line, ...more]: readonly string[]): void {
  out.write(`${line}\n`)
  for (const note of more) err.write(`${note}\n`)
}

function refuseTaken(paths: readonly string[]): void {
  const taken = paths.find(exists)
  if (taken !== undefined)
    throw new SaqrError(
      'FORMAT_FILE',
      say`${taken} is there already: name another ${option('outputDir')}, or write over it with ${option('overwrite')}`,
    )
}

export function progress({ err }: Pick<Io, 'err'>, path: string): (share: number) => void {
  let said = 0
  return (share) => {
    const percent = Math.floor(100 * share)
    if (!err.isTTY || percent < Math.min(said + 5, 100) || percent === said) return
    said = percent
    err.write(`\r${path}: ${percent} %${percent === 100 ? '\n' : ''}`)
  }
}
