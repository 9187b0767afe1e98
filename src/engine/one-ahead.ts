/**
 * Results of work on a device, in order. With `ahead` each piece is begun while the one before it is under way: worth it on a device that queues
 * runs (`DeviceDescription.queues`), which then never waits for the host between two.
 */
export async function* oneAhead<T, R>(items: Iterable<T>, begin: (item: T) => Promise<R>, ahead: boolean): AsyncGenerator<[T, R]> {
  const under: { item: T; result: Promise<R> }[] = []
  const next = async (): Promise<[T, R]> => {
    const { item, result } = under[0]!
    const made = await result
    under.shift()
    return [item, made]
  }
  try {
    for (const item of items) {
      const result = begin(item)
      result.catch(() => {}) // told to whoever comes to it
      under.push({ item, result })
      if (under.length > (ahead ? 1 : 0)) yield await next()
    }
    while (under.length > 0) yield await next()
  } finally {
    // nothing that was begun goes on behind the back of who stops here
    await Promise.allSettled(under.map(({ result }) => result))
  }
}
