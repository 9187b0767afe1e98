import { expect, expectTypeOf, it } from 'vitest'
import type { SFTConfig, TrainingOptions } from '../../src/train/options/config.ts'
import type { Camel, InputOf, OptionsOf } from '../../src/train/options/field.ts'
import type { argsFields } from '../../src/train/options/sft.ts'
import { configs, configTypes } from '../../tools/config-types.ts'
import { familiesPage } from '../../tools/families-page.ts'
import { optionsPage, preferencesPage } from '../../tools/options-page.ts'

it('docs/options.md is what the tables of options say', async () => {
  await expect(optionsPage()).toMatchFileSnapshot('../../docs/options.md')
})

it('docs/options-preferences.md is what the tables of options say', async () => {
  await expect(preferencesPage()).toMatchFileSnapshot('../../docs/options-preferences.md')
})

it('docs/families.md is what the registry and the folders of tests say', async () => {
  await expect(familiesPage()).toMatchFileSnapshot('../../docs/families.md')
})

it.each(Object.keys(configs) as (keyof typeof configs)[])('src/train/options/%s.ts is what the tables of options say', async (file) => {
  await expect(configTypes(file)).toMatchFileSnapshot(`../../src/train/options/${file}.ts`)
})

it('and has their types', () => {
  type OfAll = { [K in keyof typeof argsFields & string as Camel<K>]: unknown }
  type Older = 'maxSeqLength' | 'evaluationStrategy' | 'warmupRatio' | 'noCuda' | 'perGpuTrainBatchSize' | 'perGpuEvalBatchSize'
  type Input = InputOf<typeof argsFields>
  expectTypeOf<Pick<SFTConfig, keyof Input>>().branded.toEqualTypeOf<Input>()
  expectTypeOf<Exclude<keyof SFTConfig, keyof OfAll | Older>>().toBeNever()
  expectTypeOf<TrainingOptions>().branded.toEqualTypeOf<OptionsOf<typeof argsFields>>()
})
