/** saqr prove before Python is asked: what it needs, options of both sides, folders and secrets. */
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { homedir, tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { readRecipe } from '../../src/cli/prove/recipe.ts'
import { prove } from '../../src/cli/verbs/prove.ts'
import { commandLine } from './saqr.ts'
import { tinyRows, writeTinyModel } from './tiny-model.ts'

let folder = ''
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'saqr-prove-'))
  await writeTinyModel(join(folder, 'model'))
  mkdirSync(join(folder, 'rows'))
  writeFileSync(join(folder, 'rows/train.jsonl'), tinyRows())
})
afterAll(() => rmSync(folder, { recursive: true }))

describe.runIf(process.platform !== 'win32')('before TRL is asked', () => {
  const saqr = commandLine({ prove })
  const asked = () => join(folder, 'asked')
  /** a Python that has these versions; asked to run, it fails after a word */
  const python = (versions: object) => {
    const path = join(mkdtempSync(join(folder, 'bin-')), 'python')
    const answer = JSON.stringify({ executable: path, ...versions })
    writeFileSync(
      path,
      `#!/bin/sh\necho asked > '${asked()}'\n[ "$2" = check ] && echo '${answer}' && exit\necho 'no falcon here' >&2\nexit 3\n`,
    )
    chmodSync(path, 0o755)
    return path
  }
  const config = (more = '', rows = `dataset_name: ${join(folder, 'rows')}\n`) => {
    const path = join(mkdtempSync(join(folder, 'config-')), 'run.yaml')
    writeFileSync(path, `model_name_or_path: ${join(folder, 'model')}\n${rows}use_peft: true\nbf16: false\nmax_length: 64\n${more}`)
    return path
  }
  const WHOLE = { torch: '2.13.0', transformers: '5.23.0', trl: '1.16.0', peft: '0.21.2', datasets: '5.2.0' }
  const fails = async (...args: string[]) => {
    rmSync(asked(), { force: true })
    const out = join(mkdtempSync(join(folder, 'out-')), 'proof')
    const { code, err } = await saqr('prove', '--device', 'cpu', ...(args.includes('--out') ? [] : ['--out', out]), ...args)
    expect(code).toBe(1)
    return { err, out }
  }

  it('a Python that isn’t there, has no TRL, or an old one is refused with the line that installs it', async () => {
    expect((await fails(config(), '--python', join(folder, 'no-python'))).err).toMatch(
      /there is no .*no-python.*\n\s+python3 -m pip install torch "trl>=1.0" peft\n/,
    )
    const none = python({ ...WHOLE, trl: null, peft: null })
    expect((await fails(config(), '--python', none)).err).toContain(
      `has no trl, no peft. Install it with\n  "${none}" -m pip install "trl>=1.0" peft\n`,
    )
    expect((await fails(config(), '--python', python({ ...WHOLE, trl: '0.24.0' }))).err).toMatch(/TRL 0.24.0.*\n.*--upgrade "trl>=1.0"/)
    const broken = join(folder, 'broken')
    writeFileSync(broken, '#!/bin/sh\necho "no module named falcon" >&2\nexit 1\n', { mode: 0o755 })
    expect((await fails(config(), '--python', broken)).err).toContain('no module named falcon')
  })

  it('options that saqr refuses, or TRL doesn’t know, are told by name before Python starts', async () => {
    const good = ['--python', python(WHOLE)]
    expect((await fails(config('fp16: true\n'), ...good)).err).toMatch(/^.*fp16 in .*run.yaml true is refused/)
    expect((await fails(config('lr_scheduler_type: reduce_lr_on_plateau\neval_strategy: steps\neval_steps: 1\n'), ...good)).err).toContain(
      'follows evaluations',
    )
    expect((await fails(config('memory: 8GB\n'), ...good)).err).toContain("saqr's own")
    const file = join(folder, 'rows/train.jsonl')
    const { err } = await fails(config(`dataset_name: ${file}\n`, ''), ...good)
    expect(err).toMatch(/dataset_name in \S+run\.yaml: \S+train\.jsonl is a file, and TRL would look for such a name on the Hub/)
    const named = '\n  datasets:\n    - path: json\n      data_files: '
    expect(err).toContain(`${named}${file}\n`)
    expect((await fails(config(`datasets: [{path: ${file}}]\n`, ''), ...good)).err).toMatch(
      /datasets in \S+run\.yaml, entry 1: \S+train\.jsonl is a file/,
    )
    expect(() => readRecipe('sft', config(err.slice(err.indexOf(named)).replaceAll('\n  ', '\n'), ''), {}, 'work')).not.toThrow()
    const own = join(folder, 'home.yaml')
    writeFileSync(own, `model_name_or_path: ~/rows\ndataset_name: ${join(folder, 'rows')}\n`)
    for (const [path, name] of [
      [own, 'model_name_or_path in \\S+ ~/rows'],
      [config('dataset_name: ~/rows\n', ''), 'dataset_name in \\S+ ~/rows'],
      [config('datasets: [{path: json, data_files: [a.jsonl, ~/rows]}]\n', ''), 'datasets in \\S+, entry 1: ~/rows'],
    ] as const) {
      const told = `${name}: in a file ~ is no home folder to TRL, which would not find it. Write ${join(homedir(), 'rows')}`
      expect((await fails(path, ...good)).err).toMatch(new RegExp(told))
    }
    expect((await fails(config('lerning_rate: 1\n'), ...good)).err).toContain('did you mean learning_rate?')
    expect((await fails(config(), ...good, '--steps', '3')).err).toContain('at least 5')
    expect((await fails(...good)).err).toContain('saqr prove run.yaml')
    expect((await fails(config(), 'more.yaml', ...good)).err).toContain('more.yaml')
    expect((await fails('grpo', config(), ...good)).err).toContain('after dpo, kto, orpo, cpo where')
    expect((await fails('orpo', ...good)).err).toContain('saqr prove orpo run.yaml')
    expect((await fails('kto', config('packing: true\n'), ...good)).err).toContain('packing')
    expect(existsSync(asked())).toBe(false)
  })

  it('secrets of the file stay out of the page', () => {
    const path = config('hub_token: hf_falcon\nenv:\n  HF_TOKEN: hf_heron\n  OMP_NUM_THREADS: 64\n')
    const { text } = readRecipe('sft', path, {}, 'work')
    expect(text).toContain('hub_token: …\nenv:\n  HF_TOKEN: …\n  OMP_NUM_THREADS: 64\n')
    expect(text).toContain('max_length: 64')
  })

  it('nobody’s folder is written over', async () => {
    expect((await fails(config(), '--out', folder)).err).toContain('is there already')
    expect(existsSync(asked())).toBe(false)
  })

  it('what Python says when it fails is told and kept, and nothing else', async () => {
    const { err, out } = await fails('--config', config(), '--python', python(WHOLE))
    expect(err).toContain('no falcon here')
    expect(readdirSync(out)).toEqual(['trl.log'])
    expect(readFileSync(join(out, 'trl.log'), 'utf8')).toContain('no falcon here')
  })
})
