/**
 * The losses that TRL's DPOTrainer knows (loss_type) as functions of one pair, each with its derivatives: c and r, how much likelier the
 * chosen and the rejected answer have become than under the reference (log-ratios, or what an f-divergence makes of them), x = β (c − r).
 */

export interface PairSettings {
  beta: number
  labelSmoothing: number
  discopopTau: number
}

/** tokens of each answer */
export interface Lengths {
  chosen: number
  rejected: number
}

/** loss, d loss / d c, d loss / d r */
export type Valued = readonly [loss: number, dChosen: number, dRejected: number]

export interface PairLoss {
  /** may c and r be those of another f-divergence than the reverse KL? */
  divergent: boolean
  of(c: number, r: number, settings: PairSettings, lengths: Lengths): Valued
}

export const sigmoid = (x: number): number => (x >= 0 ? 1 / (1 + Math.exp(-x)) : Math.exp(x) / (1 + Math.exp(x)))
/** −log σ(x) */
export const softplus = (x: number): number => (x > 0 ? Math.log1p(Math.exp(-x)) : Math.log1p(Math.exp(x)) - x)
const rise = (x: number) => sigmoid(x) * sigmoid(-x)

/** of the difference alone */
const ofMargin = (of: (x: number, settings: PairSettings) => readonly [number, number]): PairLoss => ({
  divergent: true,
  of(c, r, settings) {
    const [loss, d] = of(settings.beta * (c - r), settings)
    return [loss, settings.beta * d, -settings.beta * d]
  },
})

/** of each answer by itself */
const ofEach = (of: (c: number, r: number, settings: PairSettings) => Valued): PairLoss => ({ divergent: false, of })

/** the same of averages over an answer's tokens */
const ofAverages = ({ of }: PairLoss): PairLoss => ({
  divergent: true,
  of(c, r, settings, { chosen, rejected }) {
    const [loss, dC, dR] = of(c / chosen, r / rejected, settings, { chosen, rejected })
    return [loss, dC / chosen, dR / rejected]
  },
})

const logistic = ofMargin((x) => [softplus(x), -sigmoid(-x)])

export const pairLosses = {
  sigmoid: logistic,
  hinge: ofMargin((x) => (x < 1 ? [1 - x, -1] : [0, 0])),
  ipo: ofAverages({
    divergent: true,
    of(c, r, { beta }) {
      const off = c - r - 1 / (2 * beta)
      return [off * off, 2 * off, -2 * off]
    },
  }),
  exo_pair: ofMargin((x, { labelSmoothing: e }) => {
    const [won, lost] = [-softplus(x) - Math.log1p(-e), -softplus(-x) - Math.log(e)]
    return [sigmoid(x) * won + sigmoid(-x) * lost, rise(x) * (won - lost)]
  }),
  nca_pair: ofEach((c, r, { beta: b }) => [
    softplus(b * c) + 0.5 * softplus(-b * c) + 0.5 * softplus(-b * r),
    b * (0.5 * sigmoid(b * c) - sigmoid(-b * c)),
    0.5 * b * sigmoid(b * r),
  ]),
  robust: ofMargin((x, { labelSmoothing: e }) => [
    ((1 - e) * softplus(x) - e * softplus(-x)) / (1 - 2 * e),
    (-(1 - e) * sigmoid(-x) - e * sigmoid(x)) / (1 - 2 * e),
  ]),
  bco_pair: ofEach((c, r, { beta: b }) => [softplus(b * c) + softplus(-b * r), -b * sigmoid(-b * c), b * sigmoid(b * r)]),
  sppo_hard: ofEach((c, r, { beta }) => {
    const [won, lost] = [c - 0.5 / beta, r + 0.5 / beta]
    return [won * won + lost * lost, 2 * won, 2 * lost]
  }),
  apo_zero: ofEach((c, r, { beta: b }) => [sigmoid(-b * c) + sigmoid(b * r), -b * rise(b * c), b * rise(b * r)]),
  apo_down: ofEach((c, r, { beta: b }) => {
    const margin = b * (c - r)
    return [sigmoid(b * c) + sigmoid(-margin), b * (rise(b * c) - rise(margin)), b * rise(margin)]
  }),
  discopop: ofMargin((x, { discopopTau: tau }) => {
    const share = sigmoid(x / tau)
    const [log, exp] = [softplus(x), Math.exp(-x)]
    return [log * (1 - share) + exp * share, -sigmoid(-x) * (1 - share) - exp * share + ((exp - log) * rise(x / tau)) / tau]
  }),
  sigmoid_norm: ofAverages(logistic),
} satisfies Record<string, PairLoss>

/** The logistic loss with labels that may be turned round, of a margin: `aot` and `aot_unpaired`. */
export function smoothed(margin: number, { beta, labelSmoothing: e }: PairSettings): readonly [loss: number, d: number] {
  const x = beta * margin
  return [(1 - e) * softplus(x) + e * softplus(-x), beta * (e * sigmoid(x) - (1 - e) * sigmoid(-x))]
}

export const divergences = ['reverse_kl', 'forward_kl', 'js_divergence', 'alpha_divergence'] as const
export type Divergence = (typeof divergences)[number]

/** beyond it an f32 overflows: TRL holds the exponent below */
const MOST = 80

/** f'(t) of a log-ratio log t, and its derivative: what stands in the place of the log-ratio (f-DPO) */
export function diverged(ratio: number, type: Divergence, alpha: number): readonly [score: number, d: number] {
  switch (type) {
    case 'reverse_kl':
      return [ratio, 1]
    case 'forward_kl':
      return [1 - Math.exp(-ratio), Math.exp(-ratio)]
    case 'js_divergence':
      return [Math.log(2) - softplus(ratio), sigmoid(-ratio)]
    case 'alpha_divergence': {
      if (Math.abs(alpha - 1) < 1e-6) return [ratio, 1]
      const t = (alpha - 1) * ratio
      const power = Math.exp(Math.min(t, MOST))
      return [(power - 1) / (alpha - 1), t < MOST ? power : 0]
    }
  }
}
