/** Python's strftime in the C locale, local time, as far as templates use it. */
import { fail } from './values.ts'

export function strftime(now: Date, format: string): string {
  return format.replace(/%[-]?./gs, (directive) => {
    const part = parts[directive.replace('-', '')]
    if (!part) return fail(`strftime_now is asked for ${directive}, which is not supported`)
    return directive[1] === '-' ? part(now).replace(/^0+(?=\d)/, '') : part(now)
  })
}

const pad = (n: number, width = 2) => String(n).padStart(width, '0')
const name = (now: Date, options: Intl.DateTimeFormatOptions) => new Intl.DateTimeFormat('en-US', options).format(now)

const parts: Record<string, (now: Date) => string> = {
  '%Y': (now) => String(now.getFullYear()),
  '%y': (now) => pad(now.getFullYear() % 100),
  '%m': (now) => pad(now.getMonth() + 1),
  '%d': (now) => pad(now.getDate()),
  '%e': (now) => String(now.getDate()).padStart(2, ' '),
  '%H': (now) => pad(now.getHours()),
  '%I': (now) => pad(now.getHours() % 12 || 12),
  '%M': (now) => pad(now.getMinutes()),
  '%S': (now) => pad(now.getSeconds()),
  '%f': (now) => pad(now.getMilliseconds() * 1000, 6),
  '%p': (now) => (now.getHours() < 12 ? 'AM' : 'PM'),
  '%j': (now) =>
    pad(1 + Math.round((Date.UTC(now.getFullYear(), now.getMonth(), now.getDate()) - Date.UTC(now.getFullYear(), 0, 1)) / 86_400_000), 3),
  '%b': (now) => name(now, { month: 'short' }),
  '%B': (now) => name(now, { month: 'long' }),
  '%a': (now) => name(now, { weekday: 'short' }),
  '%A': (now) => name(now, { weekday: 'long' }),
  '%w': (now) => String(now.getDay()),
  '%F': (now) => `${now.getFullYear()}-${pad(now.getMonth() + 1)}-${pad(now.getDate())}`,
  '%T': (now) => `${pad(now.getHours())}:${pad(now.getMinutes())}:${pad(now.getSeconds())}`,
  '%D': (now) => strftime(now, '%m/%d/%y'),
  '%R': (now) => strftime(now, '%H:%M'),
  '%x': (now) => strftime(now, '%m/%d/%y'),
  '%X': (now) => strftime(now, '%H:%M:%S'),
  '%c': (now) => strftime(now, '%a %b %e %H:%M:%S %Y'),
  '%r': (now) => strftime(now, '%I:%M:%S %p'),
  '%h': (now) => name(now, { month: 'short' }),
  '%C': (now) => pad(Math.floor(now.getFullYear() / 100)),
  '%u': (now) => String(now.getDay() || 7),
  '%n': () => '\n',
  '%t': () => '\t',
  // the day that Python tells has no zone
  '%z': () => '',
  '%Z': () => '',
  '%%': () => '%',
}
