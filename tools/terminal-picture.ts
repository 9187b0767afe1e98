/** What a terminal shows, as an SVG: a screen that takes a program's output as terminals do (its colours, and what readline does to a line). */

/** of a cell: bold, dim, or one of the eight colours */
interface Cell {
  text: string
  bold: boolean
  dim: boolean
  color: number | null
}

/** colours 30 to 37 of a terminal, on a dark ground */
const COLORS = ['#5c6370', '#e06c75', '#98c379', '#d19a66', '#61afef', '#c678dd', '#56b6c2', '#abb2bf']
const [WIDTH, HEIGHT, MARGIN] = [8.43, 20, 16]

export class Screen {
  readonly #columns: number
  readonly #rows: Cell[][] = [[]]
  #row = 0
  #column = 0
  #style = { bold: false, dim: false, color: null as number | null }

  constructor(columns: number) {
    this.#columns = columns
  }

  /** @param output whole sequences; those that move nothing and colour nothing leave no trace */
  write(output: string): void {
    // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is read
    for (const [piece, parameters, command] of output.matchAll(/\x1b\[([?\d;]*)([A-Za-z])|\x1b\][^\x07]*\x07|\x1b.|[\s\S]/gu)) {
      if (command !== undefined) this.#command(command, parameters!.split(';').map(Number))
      else if (piece === '\r') this.#column = 0
      else if (piece === '\n') this.#down()
      else if (piece === '\b') this.#column = Math.max(0, this.#column - 1)
      else if (piece >= ' ') this.#put(piece)
    }
  }

  #down(): void {
    this.#row++
    this.#rows[this.#row] ??= []
  }

  #put(text: string): void {
    if (this.#column >= this.#columns) {
      this.#column = 0
      this.#down()
    }
    const row = this.#rows[this.#row]!
    while (row.length < this.#column) row.push({ text: ' ', bold: false, dim: false, color: null })
    row[this.#column++] = { text, ...this.#style }
  }

  #command(command: string, [first = 0, ...more]: number[]): void {
    const count = Math.max(1, first)
    if (command === 'A') this.#row = Math.max(0, this.#row - count)
    else if (command === 'B') for (let i = 0; i < count; i++) this.#down()
    else if (command === 'C') this.#column += count
    else if (command === 'D') this.#column = Math.max(0, this.#column - count)
    else if (command === 'G') this.#column = count - 1
    else if (command === 'K') this.#rows[this.#row]!.length = Math.min(this.#rows[this.#row]!.length, this.#column)
    else if (command === 'J') {
      this.#rows[this.#row]!.length = Math.min(this.#rows[this.#row]!.length, this.#column)
      this.#rows.length = this.#row + 1
    } else if (command === 'm') for (const code of [first, ...more]) this.#styled(code)
  }

  #styled(code: number): void {
    if (code === 0) this.#style = { bold: false, dim: false, color: null }
    else if (code === 1) this.#style.bold = true
    else if (code === 2) this.#style.dim = true
    else if (code === 22) Object.assign(this.#style, { bold: false, dim: false })
    else if (code >= 30 && code <= 37) this.#style.color = code - 30
    else if (code === 39) this.#style.color = null
  }

  /** The lines as plain text. */
  text(): string {
    return this.#rows
      .map((row) =>
        row
          .map(({ text }) => text)
          .join('')
          .trimEnd(),
      )
      .join('\n')
      .trimEnd()
  }

  /** @param title what the picture shows, for who can't see it */
  svg(title: string): string {
    const lines = this.text().split('\n').length
    const [width, height] = [Math.ceil(2 * MARGIN + this.#columns * WIDTH), 2 * MARGIN + lines * HEIGHT]
    const rows = this.#rows.slice(0, lines).flatMap((row, i) => {
      const spans = spansOf(row)
      return spans.length > 0 ? [`<text x="${MARGIN}" y="${MARGIN + 15 + i * HEIGHT}" xml:space="preserve">${spans.join('')}</text>`] : []
    })
    return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" role="img">
<title>${escaped(title)}</title>
<rect width="${width}" height="${height}" rx="8" fill="#21252b"/>
<g font-family="ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace" font-size="14" fill="#dcdfe4">
${rows.join('\n')}
</g>
</svg>
`
  }
}

/** Cells of one style as one. */
function spansOf(row: readonly Cell[]): string[] {
  const spans: string[] = []
  for (let from = 0, to = 0; from < row.length; from = to) {
    const { bold, dim, color } = row[from]!
    while (to < row.length && row[to]!.bold === bold && row[to]!.dim === dim && row[to]!.color === color) to++
    const text = escaped(row.slice(from, to).map((cell) => cell.text).join('')) // biome-ignore format: a line
    const fill = color !== null ? COLORS[color] : dim ? '#7f848e' : undefined
    const style = `${bold ? ' font-weight="bold"' : ''}${fill ? ` fill="${fill}"` : ''}`
    spans.push(style === '' ? text : `<tspan${style}>${text}</tspan>`)
  }
  return spans
}

const escaped = (text: string) => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;')
