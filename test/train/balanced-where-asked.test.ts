/** ORPO and CPO have a mixture's balance loss where its configuration asks for it (TRL's `aux_loss_enabled`); SFT, DPO and KTO wherever there is one. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import type { JsonObject } from '../../src/formats/json.ts'
import { meaningOf } from '../../src/models/meaning.ts'
import { openConfig } from '../../src/models/registry.ts'
import { orpo } from '../../src/train/objectives/orpo.ts'
import { sft } from '../../src/train/objectives/sft.ts'
import { coefficientOf, withTerm } from '../../src/train/objectives/term.ts'

const config = JSON.parse(readFileSync(join(import.meta.dirname, '../fixtures/preference-mixture/model/config.json'), 'utf8')) as JsonObject

it.each([
  [true, { balancedWhereAsked: true }, 0.3],
  [false, { balancedWhereAsked: true }, 0],
  [undefined, { balancedWhereAsked: true }, 0],
  [true, {}, 0.3],
  [false, {}, 0.3],
])('output_router_logits %s, %j: %d', (asked, objective, coefficient) => {
  const model = openConfig({ ...config, output_router_logits: asked as boolean })
  expect(coefficientOf(model, { routerAuxLossCoef: null }, objective)).toBe(coefficient)
  expect(coefficientOf(model, { routerAuxLossCoef: 0 }, objective)).toBe(0)
})

it('is a fact of a run of ORPO, and no other model', () => {
  const open = (asked: boolean | undefined) => openConfig({ ...config, output_router_logits: asked as boolean })
  const facts = (asked: boolean | undefined, objective = orpo({ beta: 0.1 })) =>
    withTerm(objective, open(asked), coefficientOf(open(asked), { routerAuxLossCoef: null }, objective)).facts
  expect(facts(true)).toEqual({ beta: 0.1, routerAuxLossCoef: 0.3 })
  // as checkpoints have it that knew of no such loss
  expect(facts(false)).toEqual({ beta: 0.1, routerAuxLossCoef: null })
  expect(facts(true, sft as never)).toBe(undefined)
  const meaning = (asked: boolean | undefined) => meaningOf({ ...config, output_router_logits: asked as boolean })
  expect(meaning(true)).toEqual(meaning(undefined))
  expect(Object.keys(meaning(true))).not.toContain('output_router_logits')
})
