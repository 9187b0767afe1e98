/** Moonlight's tokenizer with other seeds: ids by tiktoken's rules, by transformers of what saqr saved, by llama.cpp of the GGUF file that saqr wrote. */
import { cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, it } from 'vitest'
import { readTokenizerFiles } from '../../src/formats/tokenizer-files.ts'
import { FastLanguageModel } from '../../src/index.ts'
import { Tokenizer } from '../../src/text/tokenizer.ts'
import { libraries, oracle } from './oracle.ts'
import { json } from './train.ts'

const root = join(import.meta.dirname, '../..')
const work = mkdtempSync(join(tmpdir(), 'saqr-tiktoken-'))
afterAll(() => rmSync(work, { recursive: true }))

/** what llama.cpp does otherwise: a token that no merging makes, though it is a whole piece; 〇, a Chinese character that is a number too */
const OTHERWISE = /xyzzy|〇/

it.each([3, 4])(
  'seed %i',
  async (seed) => {
    const made = await oracle('tiktoken_model', '--seed', `${seed}`)
    const saved = join(work, `saved-${seed}`)
    const tokenizer = new Tokenizer(readTokenizerFiles(made)!, { modelType: 'deepseek_v3' })
    await tokenizer.savePretrained(saved)
    const { texts, ids, transformers } = json(
      join(await oracle('tiktoken_model', '--seed', `${seed}`, '--saved', saved), 'cases.json'),
    ) as { texts: string[]; ids: number[][]; transformers: number[][] }
    expect(texts.map((text) => tokenizer.encode(text))).toEqual(ids)
    expect(transformers).toEqual(ids)

    const model = join(root, 'test/fixtures/training/deepseek-v3/model')
    const { model: base } = await FastLanguageModel.fromPretrained(model, { device: 'cpu', dtype: 'f32', loadIn4bit: false })
    await base.resizeTokenEmbeddings(tokenizer.idLimit)
    const sized = join(work, `sized-${seed}`)
    await base.savePretrainedMerged(sized, { check: false })
    await base.dispose()
    rmSync(join(sized, 'tokenizer.json'))
    // Moonlight's contexts aren't stretched
    const plain = { ...json(join(sized, 'config.json')), rope_parameters: { rope_type: 'default', rope_theta: 50000 } }
    writeFileSync(join(sized, 'config.json'), JSON.stringify(plain))
    for (const name of ['tiktoken.model', 'tokenizer_config.json']) cpSync(join(made, name), join(sized, name))
    const { model: moonlight } = await FastLanguageModel.fromPretrained(sized, { device: 'cpu', dtype: 'f32', loadIn4bit: false })
    const file = join(work, `model-${seed}.gguf`)
    await moonlight.savePretrainedGguf(file, { quantizationMethod: 'f32' })
    await moonlight.dispose()
    const theirs = json(join(await oracle('llama_tokens', libraries, file, join(made, 'cases.json')), 'ids.json')) as number[][]
    for (const [i, text] of texts.entries()) if (!OTHERWISE.test(text)) expect([text, theirs[i]]).toEqual([text, ids[i]])
  },
  300_000,
)
