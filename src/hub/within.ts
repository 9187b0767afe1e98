/** An end for what may never answer. */

/**
 * Aborts with `signal`, and with a TimeoutError after `ms` milliseconds; keeps no process waiting.
 * A timer of its own, which holds what it aborts: `AbortSignal.timeout` within `AbortSignal.any` is lost to Node's garbage collector (seen in 20),
 * and what hangs then hangs for good.
 */
export function within(ms: number, signal?: AbortSignal): AbortSignal {
  const late = new AbortController()
  // what is longer than a timer can be (25 days), Node would take for 1 ms
  setTimeout(() => late.abort(new DOMException(`no answer within ${ms / 1000} s`, 'TimeoutError')), Math.min(ms, 2 ** 31 - 1)).unref()
  return signal ? AbortSignal.any([signal, late.signal]) : late.signal
}
