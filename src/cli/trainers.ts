/** What `saqr data` needs of the trainers that rows may be for: their options, what these mean together, and their objectives. */
import { z } from 'zod'
import type { Dataset } from '../data/dataset.ts'
import { isRated, saysWanted } from '../data/rated.ts'
import { cpo } from '../train/objectives/cpo.ts'
import { sftObjective } from '../train/objectives/dft.ts'
import { dpo } from '../train/objectives/dpo.ts'
import { kto } from '../train/objectives/kto.ts'
import type { Objective } from '../train/objectives/objective.ts'
import { orpo } from '../train/objectives/orpo.ts'
import { type CpoOptions, cpoOptions } from '../train/options/cpo.ts'
import { type DpoOptions, dpoOptions } from '../train/options/dpo.ts'
import { checkDpo } from '../train/options/dpo-rules.ts'
import { type Field, type Fields, honoured, type Theme } from '../train/options/field.ts'
import { type KtoOptions, ktoOptions } from '../train/options/kto.ts'
import { checkKto } from '../train/options/kto-rules.ts'
import { type OrpoOptions, orpoOptions } from '../train/options/orpo.ts'
import { checkPacking } from '../train/options/rules.ts'
import { type SftOptions, sftFields } from '../train/options/sft.ts'

interface TrainerOfRows {
  fields: Fields
  /** @param o the options of `fields`, resolved. @throws SaqrError OPTION_INVALID */
  objective(o: unknown): Objective
}

export const trainers = {
  sft: {
    fields: sftFields,
    objective: (o) => {
      checkPacking(o as SftOptions)
      return sftObjective(o as SftOptions)
    },
  },
  dpo: {
    fields: dpoOptions.fields,
    objective: (o) => {
      checkDpo(o as DpoOptions)
      return dpo(o as DpoOptions)
    },
  },
  orpo: { fields: orpoOptions.fields, objective: (o) => orpo(o as OrpoOptions) },
  kto: {
    fields: ktoOptions.fields,
    objective: (o) => {
      checkKto(o as KtoOptions)
      return kto(o as KtoOptions)
    },
  },
  cpo: { fields: cpoOptions.fields, objective: (o) => cpo(o as CpoOptions) },
} satisfies Record<string, TrainerOfRows>

export type TrainerName = keyof typeof trainers

/** Whose rows these are by their columns: pairs dpo's, rated answers kto's, all others sft's. */
export function trainerOf(dataset: Dataset): TrainerName {
  const { columns } = dataset
  if (columns.includes('chosen') && columns.includes('rejected')) return 'dpo'
  return isRated(columns) && dataset.length > 0 && saysWanted(dataset.rows[0]!) ? 'kto' : 'sft'
}

const others: Fields = { ...cpoOptions.fields, ...ktoOptions.fields, ...orpoOptions.fields, ...dpoOptions.fields }
const lossTypes = [sftFields, dpoOptions.fields, cpoOptions.fields, ktoOptions.fields].map(({ loss_type }) => (loss_type as Field).schema)

/** Options of any of them; where they have one of a name, it is said as sft's. */
export const fieldsOfAll = {
  ...others,
  ...sftFields,
  loss_type: honoured(z.union(lossTypes).nullable(), null, 'the loss; default: the trainer’s own'),
}

/** Those that sft doesn't have. */
export const ofOthers: Theme = {
  title: 'Of dpo, orpo, kto and cpo',
  fields: Object.fromEntries(Object.entries(others).filter(([name]) => !Object.hasOwn(sftFields, name))),
}
