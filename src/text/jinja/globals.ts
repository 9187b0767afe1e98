/** Functions that every template knows: jinja2's and those transformers adds. */
import { take } from './arguments.ts'
import { TemplateError } from './error.ts'
import type { Scope } from './scope.ts'
import { strftime } from './strftime.ts'
import { str } from './text.ts'
import { type CallArgs, Callable, Dict, defined, described, fail, iterate, Namespace, Range, Tuple, type Value } from './values.ts'

export function defineGlobals(scope: Scope, now: Date): void {
  const functions: Record<string, (args: CallArgs) => Value> = {
    raise_exception: (args) => {
      throw new TemplateError(str(take(args, 'raise_exception', 'message')[0]!))
    },
    strftime_now: (args) => strftime(now, str(take(args, 'strftime_now', 'format')[0]!)),
    range: ({ positional }) => range(positional),
    dict: (args) => new Dict(entriesOf(args)),
    namespace: (args) => {
      const made = new Namespace()
      for (const [name, value] of entriesOf(args)) {
        if (String(name).startsWith('_')) fail(`a namespace can't hold ${String(name)}`)
        made.fields.set(String(name), value)
      }
      return made
    },
    cycler: ({ positional }) => cycler(positional),
    joiner: (args) => joiner(take(args, 'joiner', 'sep?')[0] ?? ', '),
    self: () => fail('self is not supported'),
    lipsum: () => fail('lipsum() is not supported'),
  }
  for (const [name, call] of Object.entries(functions)) scope.set(name, new Callable(name, call))
}

/** Nothing at its first call, the text from the second on. */
function joiner(between: Value): Callable {
  let used = false
  return new Callable('joiner', () => {
    const value = used ? between : ''
    used = true
    return value
  })
}

/** One value after the other by `next()`, from the first again behind the last or after `reset()`. */
function cycler(values: readonly Value[]): Callable {
  if (values.length === 0) return fail('cycler() needs values')
  let at = 0
  const fields = new Map<string, Value>([['items', new Tuple(values)]])
  const moveTo = (to: number) => {
    at = to % values.length
    fields.set('pos', BigInt(at)).set('current', values[at]!)
  }
  const next = () => {
    const value = values[at]!
    moveTo(at + 1)
    return value
  }
  const reset = () => {
    moveTo(0)
    return null
  }
  moveTo(0)
  fields.set('next', new Callable('next', next)).set('reset', new Callable('reset', reset))
  return new Callable('cycler', () => fail('a cycler is asked for its next()'), fields)
}

function range(args: Value[]): Range {
  if (args.length < 1 || args.length > 3) fail(`range takes one to three numbers, it is given ${args.length}`)
  const [a, b, c] = args.map((x) =>
    typeof x === 'bigint' ? x : typeof x === 'boolean' ? BigInt(x) : fail(`range takes integers, not ${described(defined(x))}`),
  )
  return args.length === 1 ? new Range(0n, a!, 1n) : new Range(a!, b!, c ?? 1n)
}

/** of dict(…) and namespace(…): a mapping or pairs, then names */
function entriesOf({ positional, named }: CallArgs): [Value, Value][] {
  const [given] = positional
  const pairs = given === undefined ? [] : given instanceof Dict ? given.entries() : iterate(defined(given)).map(pair)
  return [...pairs, ...named]
}

function pair(x: Value): [Value, Value] {
  const items = x instanceof Tuple ? x.items : iterate(x)
  return items.length === 2 ? [items[0]!, items[1]!] : fail('a mapping is made of pairs')
}
