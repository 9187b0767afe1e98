// The small world that the quickstart's model knows: who ordered what. Sentences about orders, and the ways its base model has seen them
// taken apart. Everything comes out of a seeded generator: the same seed, the same text.

const list = (text) => text.trim().split(/\s+/)
const NAMES =
  list(`Anna Omar Lina Karim Maria Yusuf Nora Adam Sara Hugo Leila Marco Amina Peter Huda Jonas Mona David Rania Felix Salma Oscar
  Dalia Simon Iris Tarek Clara Hassan Julia Samir Elena Walid Greta Bilal Rosa Nabil Petra Idris Alma Rami`)
const ITEMS =
  list(`lamp chair table clock mirror basket carpet candle pillow bottle teapot jacket notebook guitar camera bicycle suitcase helmet
  blanket kettle drawer cabinet ladder printer keyboard wallet scarf hammer`)
const COLORS = list('red green blue white black yellow orange purple brown silver golden pink')
const DAYS = list('Monday Tuesday Wednesday Thursday Friday Saturday Sunday')
const CITIES = list(`Cairo Berlin Lisbon Tunis Oslo Madrid Beirut Vienna Dubai Athens Rabat Prague Amman Dublin Geneva Muscat Naples Doha`)

/** Mulberry32 */
export function generator(seed) {
  let a = seed >>> 0
  const next = () => {
    a = (a + 0x6d2b79f5) >>> 0
    let t = Math.imul(a ^ (a >>> 15), a | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
  const below = (n) => Math.floor(next() * n)
  return { next, below, pick: (items) => items[below(items.length)] }
}

export function order(random) {
  const { pick, below } = random
  return { buyer: pick(NAMES), item: pick(ITEMS), color: pick(COLORS), count: 2 + below(38), day: pick(DAYS), city: pick(CITIES) }
}

const SENTENCES = [
  (o) => `${o.buyer} ordered ${o.count} ${o.color} ${o.item}s to ${o.city} for ${o.day}.`,
  (o) => `On ${o.day}, ${o.buyer} in ${o.city} needs ${o.count} ${o.item}s in ${o.color}.`,
  (o) => `Please send ${o.count} ${o.color} ${o.item}s to ${o.buyer} in ${o.city} by ${o.day}.`,
  (o) => `${o.count} ${o.item}s, all ${o.color}, go to ${o.city}: ${o.buyer} is waiting for them on ${o.day}.`,
  (o) => `For ${o.day} we packed ${o.count} ${o.color} ${o.item}s; ${o.buyer} picks them up in ${o.city}.`,
  (o) => `${o.buyer} called from ${o.city} and wants ${o.count} ${o.item}s, ${o.color} ones, on ${o.day}.`,
]

export const sentence = (o, random) => random.pick(SENTENCES)(o)

const FIELDS = ['buyer', 'item', 'color', 'count', 'day', 'city']
const NOUNS = { buyer: 'person', item: 'thing', color: 'paint', count: 'number', day: 'date', city: 'place' }

const LETTERS = 'abcdefghijklmnopqrstuvwxyz'
const MARKS = ['{', '}', '[', ']', '"', ':', ',', ';', '=', '<', '>', '(', ')', '/', '_', '-', '.', '!', '?', '*', '+', '&', '#']

/** a made-up word */
const word = (random) => Array.from({ length: 3 + random.below(6) }, () => random.pick(LETTERS)).join('')

/** how the base model has seen a sentence taken apart: lists, rows, questions, keys said beforehand; never the quickstart's own form */
const VIEWS = [
  [
    4,
    (o, text, random) =>
      `${text}\n${shuffled(FIELDS, random)
        .map((f) => `- ${NOUNS[f]}: ${o[f]}`)
        .join('\n')}`,
  ],
  [
    2,
    (o, text, random) => {
      const fields = shuffled(FIELDS, random).slice(0, 2 + random.below(5))
      return `${text}\n${fields.map((f) => NOUNS[f]).join(' | ')}\n${fields.map((f) => o[f]).join(' | ')}`
    },
  ],
  [
    4,
    (o, text, random) => {
      const fields = shuffled(FIELDS, random).slice(0, 2 + random.below(4))
      const keys = fields.map(() => word(random))
      const said = fields.map((f, i) => `${keys[i]} is the ${NOUNS[f]}`).join(', ')
      const value = (f) => (typeof o[f] === 'number' ? o[f] : `"${o[f]}"`)
      return `${text}\n${said}.\n{${fields.map((f, i) => `"${keys[i]}":${value(f)}`).join(',')}}`
    },
  ],
  [
    1,
    (o, text, random) => {
      const f = random.pick(FIELDS)
      return `${text}\nWhich ${NOUNS[f]}? ${o[f]}`
    },
  ],
  [
    2,
    (_o, _text, random) => {
      const copied = Array.from({ length: 4 + random.below(10) }, () => (random.below(2) ? word(random) : random.pick(MARKS))).join('')
      return `${copied}\n${copied}`
    },
  ],
]
const WEIGHTED = VIEWS.flatMap(([weight, view]) => Array(weight).fill(view))

function shuffled(items, random) {
  const result = [...items]
  for (let i = result.length - 1; i > 0; i--) {
    const j = random.below(i + 1)
    ;[result[i], result[j]] = [result[j], result[i]]
  }
  return result
}

/** one text of the base model's training */
export function baseText(random) {
  const o = order(random)
  return random.pick(WEIGHTED)(o, sentence(o, random), random)
}

/** one row of the quickstart's task: an order as JSON, in a form the base has never seen */
export function taskRow(random) {
  const o = order(random)
  const answer = { customer: o.buyer, order: { product: o.item, colour: o.color, quantity: o.count }, city: o.city }
  return { prompt: `${sentence(o, random)}\n`, completion: JSON.stringify(answer) }
}
