/** Lets others have their turn, every 30 ms; a long preparation can be stopped. @returns when it last did */
export async function breathe(since: number, signal: AbortSignal | undefined): Promise<number> {
  if (performance.now() - since < 30) return since
  await new Promise(setImmediate)
  signal?.throwIfAborted()
  return performance.now()
}

/** Items one after the other, others having their turn between them: of millions that lie on disk none is waited for at the end. @throws the signal's reason */
export async function* unhurried<T>(items: Iterable<T>, signal: AbortSignal | undefined): AsyncGenerator<T> {
  let breath = performance.now()
  for (const item of items) {
    yield item
    breath = await breathe(breath, signal)
  }
}

/** Does one of them pass? */
export async function someOf<T>(items: Iterable<T>, test: (item: T) => boolean, signal: AbortSignal | undefined): Promise<boolean> {
  for await (const item of unhurried(items, signal)) if (test(item)) return true
  return false
}
