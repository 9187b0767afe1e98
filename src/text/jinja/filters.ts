/** jinja2's filters. */
import { take } from './arguments.ts'
import { escaped, indent, parseFloatText, round, title, toInt, truncate } from './filters-scalar.ts'
import { percentFormat } from './format.ts'
import { capitalized, replace, strip } from './methods.ts'
import { binary } from './operators.ts'
import type { TestTable } from './tests.ts'
import { dumps, str } from './text.ts'
import {
  type CallArgs,
  codePoints,
  compare,
  Dict,
  defined,
  described,
  equal,
  fail,
  Iterator,
  isNumber,
  iterate,
  length,
  Markup,
  numeric,
  Tuple,
  toIndex,
  truth,
  Undefined,
  type Value,
} from './values.ts'

export interface FilterContext {
  /** `of[key]` as the template would look it up */
  item: (of: Value, key: Value) => Value
  filter: (name: string, of: Value, args: CallArgs) => Value
  test: (name: string, of: Value, args: CallArgs) => boolean
}

export type Filter = (of: Value, args: CallArgs, context: FilterContext) => Value

const flag = (x: Value | undefined, fallback = false) => (x === undefined ? fallback : truth(x))

/** By a path like `a.b.0`; what isn't there is `fallback`, if given. */
function attributeOf(path: Value, { item }: FilterContext, fallback?: Value): (of: Value) => Value {
  const parts =
    typeof path === 'bigint'
      ? [path]
      : str(path)
          .split('.')
          .map((part): Value => (/^\d+$/.test(part) ? BigInt(part) : part))
  return (of) => {
    let x = of
    for (const part of parts) {
      x = item(x, part)
      if (x instanceof Undefined && fallback !== undefined) x = fallback
    }
    return x
  }
}

const folded = (x: Value): Value => (typeof x === 'string' ? x.toLowerCase() : x)

/** what a filter like sort or unique compares */
function keyOf(attribute: Value | undefined, caseSensitive: boolean, context: FilterContext): (of: Value) => Value {
  const fold = caseSensitive ? (x: Value) => x : folded
  if (attribute === undefined || attribute === null) return fold
  const paths = typeof attribute === 'string' ? attribute.split(',') : [attribute]
  const getters = paths.map((path) => attributeOf(path, context))
  return (of) => (getters.length === 1 ? fold(getters[0]!(of)) : new Tuple(getters.map((get) => fold(get(of)))))
}

const sortedBy = (items: readonly Value[], key: (of: Value) => Value, reverse: boolean): Value[] => {
  const keyed = items.map((item) => ({ item, key: key(item) }))
  keyed.sort((a, b) => (reverse ? compare(b.key, a.key) : compare(a.key, b.key)) || 0)
  return keyed.map(({ item }) => item)
}

/** map('upper', …) and map(attribute='name', default=…) */
function mapped(of: Value, { positional, named }: CallArgs, context: FilterContext): Value {
  return new Iterator(() => {
    if (positional.length === 0 && named.has('attribute')) {
      for (const name of named.keys()) if (name !== 'attribute' && name !== 'default') fail(`map has no argument ${name}`)
      return iterate(of).map(attributeOf(named.get('attribute')!, context, named.get('default')))
    }
    if (positional.length === 0) return fail('map needs a filter or an attribute')
    const [name, ...rest] = positional
    return iterate(of).map((item) => context.filter(str(name!), item, { positional: rest, named }))
  })
}

/** select, reject and what they do with an attribute: by a test, or by truth */
function selected(keep: boolean, byAttribute: boolean): Filter {
  return (of, { positional, named }, context) =>
    new Iterator(() => {
      if (byAttribute && positional.length === 0) return fail('selectattr needs an attribute')
      const get = byAttribute ? attributeOf(positional[0]!, context) : (x: Value) => x
      const [name, ...rest] = byAttribute ? positional.slice(1) : positional
      const test = (x: Value) => (name === undefined ? truth(x) : context.test(str(name), x, { positional: rest, named }))
      return iterate(of).filter((item) => test(get(item)) === keep)
    })
}

/** Python's json.dumps with transformers' parameters, ensure_ascii off */
function tojson(of: Value, args: CallArgs): Value {
  const [ascii, indentation, separators, sort] = take(args, 'tojson', 'ensure_ascii?', 'indent?', 'separators?', 'sort_keys?')
  const by = indentation ?? null
  const pair = separators === undefined || separators === null ? (by === null ? [', ', ': '] : [',', ': ']) : iterate(separators).map(str)
  if (pair.length !== 2) return fail('tojson takes two separators')
  return dumps(of, {
    ensureAscii: flag(ascii),
    indent: by === null ? null : typeof by === 'string' ? by : ' '.repeat(Math.max(0, toIndex(by))),
    separators: pair as [string, string],
    sortKeys: flag(sort),
    order: compare,
  })
}

function batched(of: Value, args: CallArgs): Value {
  const [size, fill] = take(args, 'batch', 'linecount', 'fill_with?')
  const n = toIndex(size!)
  return new Iterator(() => {
    const batches: Value[][] = []
    for (const item of iterate(of)) {
      if (batches.length === 0 || batches.at(-1)!.length === n) batches.push([])
      batches.at(-1)!.push(item)
    }
    const last = batches.at(-1)
    if (last && fill !== undefined && fill !== null) while (last.length < n) last.push(fill)
    return batches
  })
}

function sliced(of: Value, args: CallArgs): Value {
  const [slices, fill] = take(args, 'slice', 'slices', 'fill_with?')
  const n = toIndex(slices!)
  return new Iterator(() => {
    const items = iterate(of)
    const [each, extra] = [Math.floor(items.length / n), items.length % n]
    let at = 0
    return Array.from({ length: n }, (_, i) => {
      const size = each + (i < extra ? 1 : 0)
      const part = items.slice(at, (at += size))
      return fill !== undefined && fill !== null && i >= extra ? [...part, fill] : [...part]
    })
  })
}

function extreme(sign: number): Filter {
  return (of, args, context) => {
    const [caseSensitive, attribute] = take(args, sign < 0 ? 'min' : 'max', 'case_sensitive?', 'attribute?')
    const items = iterate(of)
    if (items.length === 0) return new Undefined('the extreme of an empty list')
    const key = keyOf(attribute, flag(caseSensitive), context)
    return items.reduce((best, item) => (compare(key(item), key(best)) * sign > 0 ? item : best))
  }
}

function grouped(of: Value, args: CallArgs, context: FilterContext): Value {
  const [attribute, fallback, caseSensitive] = take(args, 'groupby', 'attribute', 'default?', 'case_sensitive?')
  const get = attributeOf(attribute!, context, fallback)
  const key = (x: Value) => (flag(caseSensitive) ? get(x) : folded(get(x)))
  const groups: { key: Value; items: Value[] }[] = []
  for (const item of sortedBy(iterate(of), key, false)) {
    if (groups.length === 0 || !equal(key(item), key(groups.at(-1)!.items[0]!))) groups.push({ key: get(item), items: [] })
    groups.at(-1)!.items.push(item)
  }
  return groups.map((group) => new Tuple([group.key, group.items], ['grouper', 'list']))
}

function unique(of: Value, args: CallArgs, context: FilterContext): Value {
  const [caseSensitive, attribute] = take(args, 'unique', 'case_sensitive?', 'attribute?')
  const key = keyOf(attribute, flag(caseSensitive), context)
  return new Iterator(() => {
    const seen = new Dict()
    return iterate(of).filter((item) => {
      const is = key(item)
      if (seen.get(is) !== undefined) return false
      seen.set(is, true)
      return true
    })
  })
}

function dictsorted(of: Value, args: CallArgs): Value {
  const [caseSensitive, by = 'key', reverse] = take(args, 'dictsort', 'case_sensitive?', 'by?', 'reverse?')
  if (!(defined(of) instanceof Dict)) return fail(`${described(of)} has no items to sort`)
  if (by !== 'key' && by !== 'value') return fail('dictsort sorts by key or value')
  const items = (of as Dict).entries().map((entry) => new Tuple(entry))
  const key = (x: Value) => (x as Tuple).items[by === 'key' ? 0 : 1]!
  return sortedBy(items, (x) => (flag(caseSensitive) ? key(x) : folded(key(x))), flag(reverse))
}

const first: Filter = (of) => {
  const items = iterate(of)
  return items.length > 0 ? items[0]! : new Undefined('the first of an empty list')
}
const last: Filter = (of) => {
  if (of instanceof Iterator && !of.isView) return fail('a generator can not be reversed')
  const items = iterate(of)
  return items.length > 0 ? items.at(-1)! : new Undefined('the last of an empty list')
}
const len: Filter = (of) => BigInt(length(of))
const otherwise: Filter = (of, args) => {
  const [fallback = '', falsy] = take(args, 'default', 'default_value?', 'boolean?')
  return of instanceof Undefined || (flag(falsy) && !truth(of)) ? fallback : of
}
const escapeFilter: Filter = (of) => new Markup(escaped(str(of)))
/** what of an escaped text is one too, as markupsafe has it: of the others comes a plain one */
const STAY_ESCAPED = new Set('capitalize center d default indent last lower reverse string trim truncate upper'.split(' '))
const unsupported =
  (name: string): Filter =>
  () =>
    fail(`the filter ${name} is not supported`)

export const filters: Readonly<Record<string, Filter>> = {
  abs: (of) =>
    isNumber(defined(of))
      ? numeric(of as number) < 0
        ? -numeric(of as number)
        : numeric(of as number)
      : fail(`${described(of)} has no absolute value`),
  attr: (of, args, { item }) => {
    const name = take(args, 'attr', 'name')[0]!
    return of instanceof Dict ? new Undefined(`attribute ${str(name)} of a mapping`) : item(of, name)
  },
  batch: batched,
  capitalize: (of) => capitalized(str(of)),
  center: (of, args) => {
    const width = toIndex(take(args, 'center', 'width?')[0] ?? 80n)
    const text = str(of)
    const missing = Math.max(0, width - codePoints(text).length)
    const left = Math.floor(missing / 2) + (missing & width & 1)
    return ' '.repeat(left) + text + ' '.repeat(missing - left)
  },
  count: len,
  d: otherwise,
  default: otherwise,
  dictsort: dictsorted,
  e: escapeFilter,
  escape: escapeFilter,
  first,
  float: (of, args) => {
    const [fallback = 0] = take(args, 'float', 'default?')
    defined(of)
    if (isNumber(of)) return Number(numeric(of))
    return (typeof of === 'string' ? parseFloatText(of) : undefined) ?? fallback
  },
  forceescape: (of) => new Markup(escaped(str(of))),
  format: (of, { positional, named }) => {
    if (positional.length > 0 && named.size > 0) return fail('format takes values by position or by name')
    return percentFormat(str(of), named.size > 0 ? new Dict(named) : new Tuple(positional))
  },
  groupby: grouped,
  indent,
  int: toInt,
  items: (of) =>
    new Iterator(() => {
      if (of instanceof Undefined) return []
      return of instanceof Dict ? of.entries().map((entry) => new Tuple(entry)) : fail(`${described(of)} has no items`)
    }),
  join: (of, args, context) => {
    const [between = '', attribute] = take(args, 'join', 'd?', 'attribute?')
    const get = attribute === undefined || attribute === null ? (x: Value) => x : attributeOf(attribute, context)
    return iterate(of)
      .map((x) => str(get(x)))
      .join(str(between))
  },
  last,
  length: len,
  list: (of) => [...iterate(of)],
  lower: (of) => str(of).toLowerCase(),
  map: mapped,
  max: extreme(1),
  min: extreme(-1),
  reject: selected(false, false),
  rejectattr: selected(false, true),
  replace: (of, args) => {
    const [from, to, most] = take(args, 'replace', 'old', 'new', 'count?')
    return replace(str(of), str(from!), str(to!), most === undefined || most === null ? -1 : toIndex(most))
  },
  reverse: (of) => (typeof of === 'string' ? [...of].reverse().join('') : reversed(of)),
  round,
  safe: (of) => new Markup(str(of)),
  select: selected(true, false),
  selectattr: selected(true, true),
  slice: sliced,
  sort: (of, args, context) => {
    const [reverse, caseSensitive, attribute] = take(args, 'sort', 'reverse?', 'case_sensitive?', 'attribute?')
    return sortedBy(iterate(of), keyOf(attribute, flag(caseSensitive), context), flag(reverse))
  },
  string: (of) => str(of),
  sum: (of, args, context) => {
    const [attribute, start = 0n] = take(args, 'sum', 'attribute?', 'start?')
    const get = attribute === undefined || attribute === null ? (x: Value) => x : attributeOf(attribute, context)
    return iterate(of).reduce((sum, x) => binary('+', sum, get(x)), start)
  },
  title,
  tojson,
  trim: (of, args) => strip(str(of), take(args, 'trim', 'chars?')[0], true, true),
  truncate,
  unique,
  upper: (of) => str(of).toUpperCase(),
  wordcount: (of) => BigInt(str(of).match(/[\p{L}\p{N}_]+/gu)?.length ?? 0),
  ...Object.fromEntries(
    ['filesizeformat', 'pprint', 'random', 'striptags', 'urlencode', 'urlize', 'wordwrap', 'xmlattr'].map((name) => [
      name,
      unsupported(name),
    ]),
  ),
}

function reversed(of: Value): Value {
  const items = [...iterate(defined(of))].reverse()
  return new Iterator(() => items)
}

/** Applies a filter or a test by name. */
export function contextOf(item: FilterContext['item'], tests: TestTable): FilterContext {
  const context: FilterContext = {
    item,
    filter(name, of, args) {
      const filter = Object.hasOwn(filters, name) ? filters[name] : fail(`there is no filter ${name}`)
      if (!(of instanceof Markup)) return filter!(of, args, context)
      if (name === 'e' || name === 'escape') return of
      if (name === 'format') return fail('an escaped or safe text is not formatted: more than printing it is not supported')
      const made = filter!(of.text, args, context)
      return STAY_ESCAPED.has(name) && typeof made === 'string' ? new Markup(made) : made
    },
    test(name, of, args) {
      const test = Object.hasOwn(tests, name) ? tests[name] : undefined
      return test ? test(of, args, context) : fail(`there is no test ${name}`)
    },
  }
  return context
}
