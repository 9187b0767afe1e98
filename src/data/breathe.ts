/** Lets others have their turn, every 30 ms; a long preparation can be stopped. @returns when it last did */
export async function breathe(since: number, signal: AbortSignal | undefined): Promise<number> {
  if (performance.now() - since < 30) return since
  await new Promise(setImmediate)
  signal?.throwIfAborted()
  return performance.now()
}
