/** Numbers as people read them. */

const SIZES = ['B', 'KiB', 'MiB', 'GiB', 'TiB']

/** 1536 -> 1.50 KiB */
export function bytes(n: number): string {
  let unit = 0
  while (n >= 1024 && unit < SIZES.length - 1) {
    n /= 1024
    unit++
  }
  return unit === 0 ? `${n} B` : `${n.toFixed(n >= 100 ? 0 : n >= 10 ? 1 : 2)} ${SIZES[unit]}`
}

/** 1234567 -> 1,234,567 */
export function grouped(n: number): string {
  return Math.round(n)
    .toString()
    .replace(/\B(?=(\d{3})+$)/g, ',')
}

/** 4900000 -> 4.90 M */
export function short(n: number): string {
  for (const [limit, letter] of [
    [1e12, 'T'],
    [1e9, 'G'],
    [1e6, 'M'],
    [1e3, 'k'],
  ] as const)
    if (n >= limit) return `${significant(n / limit, 3)} ${letter}`
  return significant(n, 3)
}

/** 75 -> 1:15, 3700 -> 1:01:40 */
export function duration(seconds: number): string {
  const whole = Math.round(seconds)
  const parts = [Math.floor(whole / 60) % 60, whole % 60]
  if (whole >= 3600) parts.unshift(Math.floor(whole / 3600))
  return parts.map((part, i) => (i === 0 ? String(part) : String(part).padStart(2, '0'))).join(':')
}

/** seconds of something short: 0.0123 -> 12.3 ms */
export function seconds(n: number): string {
  if (n >= 60) return duration(n)
  if (n >= 1) return `${significant(n, 3)} s`
  return n >= 1e-3 ? `${significant(n * 1e3, 3)} ms` : `${significant(n * 1e6, 3)} µs`
}

export function percent(share: number): string {
  return `${Math.round(share * 100)}%`
}

/** `digits` significant digits, without an exponent and with at least the whole part: 12.345 -> 12.3, 0.00012345 -> 1.23e-4 */
export function significant(n: number, digits: number): string {
  if (n === 0) return '0'
  const power = Math.floor(Math.log10(Math.abs(n)))
  if (power < -3) return n.toExponential(digits - 1).replace(/\.?0+e/, 'e')
  return n.toFixed(Math.max(0, digits - 1 - power))
}
