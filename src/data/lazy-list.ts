/** A list whose items are made when they are asked for, and not kept: every method of arrays that only reads works on it. */
const lists = new WeakSet<object>()

/** @param at the item of this number, the same whenever it is asked for */
export function lazyList<T>(length: number, at: (i: number) => T): readonly T[] {
  const isIndex = (key: string | symbol): boolean => typeof key === 'string' && /^\d+$/.test(key) && Number(key) < length
  const refuse = () => false
  const list = new Proxy<T[]>([], {
    get(_, key) {
      if (isIndex(key)) return at(Number(key))
      return key === 'length' ? length : Reflect.get(Array.prototype, key)
    },
    has: (_, key) => isIndex(key) || key in Array.prototype,
    set: refuse,
    defineProperty: refuse,
    deleteProperty: refuse,
  })
  lists.add(list)
  return list
}

export const isLazy = (list: readonly unknown[]): boolean => lists.has(list)

/** What `of` makes of each item of a list, when it is asked for. */
export const lazily = <T, U>(list: readonly T[], of: (item: T) => U): readonly U[] => lazyList(list.length, (i) => of(list[i]!))
