/** An objective whose loss has the model's own term too (`Model.term`), as TRL adds it: a coefficient times its mean over the step's micro-batches. */
import type { PassScores } from '../../engine/runner.ts'
import { option, SaqrError, say } from '../../error.ts'
import type { Model } from '../../models/family.ts'
import type { CommonOptions } from '../options/common-config.ts'
import type { Metric, Objective } from './objective.ts'

/** micro-batches that lie in one pass at most: each is a column of what a pass knows of its tokens */
const TOGETHER = 8

/**
 * What the model's term is multiplied with: the option, or what its configuration says; 0 where it has none, or the objective none of it.
 * @throws SaqrError OPTION_INVALID for a coefficient of a model without a term
 */
export function coefficientOf(
  { family, term }: Model,
  { routerAuxLossCoef: given }: Pick<CommonOptions, 'routerAuxLossCoef'>,
  { balancedWhereAsked = false }: Pick<Objective, 'balancedWhereAsked'>,
): number {
  if ((term?.coefficient ?? null) === null && given)
    throw new SaqrError(
      'OPTION_INVALID',
      say`${option('routerAuxLossCoef')} is ${given}, but a ${family} model has no ${term ? 'loss that balances its experts' : 'experts that a loss could balance'}: leave it out`,
    )
  return given ?? (balancedWhereAsked && !term?.asked ? 0 : (term?.coefficient ?? 0))
}

/** how passes are traced and cut where the term counts: none cuts a micro-batch of the `batches` of a step */
export function wholeBatches(coefficient: number, batches: number): number | undefined {
  return coefficient === 0 ? undefined : Math.min(batches, TOGETHER)
}

/** the sum over the pass's micro-batches */
const termOf = ({ results }: PassScores): number => results.term!.values.reduce((sum, x) => sum + x, 0)

/** what multiplies the term of one micro-batch of a step */
export function termScale(coefficient: number, batches: number): number {
  return coefficient / batches
}

export function withTerm(given: Objective, { term: own }: Model, coefficient: number): Objective {
  // where config.json decides, a run that goes on must have it as it was
  const decided = own && given.balancedWhereAsked ? { facts: { ...given.facts, routerAuxLossCoef: coefficient || null } } : {}
  const objective = { ...given, ...decided }
  if (coefficient === 0 || !own) return objective
  const { loss, metrics } = objective
  const term: Metric = { name: own.name, label: null, of: 'batch', sum: (_, scores) => termOf(scores) }
  const sum: Metric['sum'] = (pass, scores, laid) =>
    // as the sum over a step is divided by the normaliser, the term, which is not, is multiplied with it
    loss.sum(pass, scores, laid) + termScale(coefficient, laid.batchTargets.length) * laid.normaliser * termOf(scores)
  return { ...objective, loss: { ...loss, sum }, metrics: [...metrics, term] }
}
