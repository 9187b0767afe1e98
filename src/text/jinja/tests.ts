/** jinja2's tests (`x is …`). */
import { take } from './arguments.ts'
import type { FilterContext } from './filters.ts'
import { filters } from './filters.ts'
import { binary, contains } from './operators.ts'
import { str } from './text.ts'
import {
  type CallArgs,
  Callable,
  compare,
  Dict,
  equal,
  fail,
  Iterator,
  isNumber,
  Markup,
  Range,
  Tuple,
  Undefined,
  type Value,
} from './values.ts'

export type TestTable = Readonly<Record<string, (of: Value, args: CallArgs, context: FilterContext) => boolean>>

const other = (args: CallArgs, name: string): Value => take(args, name, 'other')[0]!
const order = (name: string, holds: (sign: number) => boolean) => (of: Value, args: CallArgs) => holds(compare(of, other(args, name)))
const is = (of: Value, args: CallArgs) => equal(of, other(args, 'equalto'))
const isNot = (of: Value, args: CallArgs) => !equal(of, other(args, 'ne'))
const isString = (x: Value) => typeof x === 'string' || x instanceof Markup
const isSequence = (x: Value) =>
  isString(x) || Array.isArray(x) || x instanceof Tuple || x instanceof Dict || x instanceof Range || x instanceof Undefined
const rest = (of: Value, by: Value): boolean => equal(binary('%', of, by), 0n)
const less = order('lt', (sign) => sign < 0)
const atMost = order('le', (sign) => sign <= 0)
const more = order('gt', (sign) => sign > 0)
const atLeast = order('ge', (sign) => sign >= 0)

const same = (a: Value, b: Value): boolean => {
  if (typeof a !== typeof b) return false
  if (typeof a === 'string' || typeof a === 'number' || (typeof a === 'bigint' && (a < -5n || a > 256n)))
    return a === b || fail('sameas of texts and large numbers has no fixed meaning')
  return a === b
}

export const tests: TestTable = {
  boolean: (of) => typeof of === 'boolean',
  callable: (of) => of instanceof Callable || of instanceof Undefined,
  defined: (of) => !(of instanceof Undefined),
  divisibleby: (of, args) => rest(of, take(args, 'divisibleby', 'num')[0]!),
  eq: is,
  equalto: is,
  '==': is,
  escaped: (of) => of instanceof Markup,
  even: (of) => rest(of, 2n),
  odd: (of) => equal(binary('%', of, 2n), 1n),
  false: (of) => of === false,
  true: (of) => of === true,
  filter: (of) => Object.hasOwn(filters, str(of)),
  test: (of) => Object.hasOwn(tests, str(of)),
  float: (of) => typeof of === 'number',
  integer: (of) => typeof of === 'bigint',
  number: (of) => isNumber(of),
  in: (of, args) => contains(other(args, 'in'), of),
  iterable: (of) => isSequence(of) || of instanceof Iterator,
  sequence: isSequence,
  mapping: (of) => of instanceof Dict,
  string: isString,
  lower: (of) => ((text) => text !== text.toUpperCase() && text === text.toLowerCase())(str(of)),
  upper: (of) => ((text) => text !== text.toLowerCase() && text === text.toUpperCase())(str(of)),
  none: (of) => of === null,
  undefined: (of) => of instanceof Undefined,
  sameas: (of, args) => same(of, other(args, 'sameas')),
  ne: isNot,
  '!=': isNot,
  lt: less,
  lessthan: less,
  '<': less,
  le: atMost,
  '<=': atMost,
  gt: more,
  greaterthan: more,
  '>': more,
  ge: atLeast,
  '>=': atLeast,
}
