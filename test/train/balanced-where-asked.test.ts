/** ORPO and CPO have a mixture's balance loss where its configuration asks for it (TRL's `aux_loss_enabled`); SFT, DPO and KTO wherever there is one. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import type { JsonObject } from '../../src/formats/json.ts'
import { openConfig } from '../../src/models/registry.ts'
import { coefficientOf } from '../../src/train/objectives/term.ts'

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
