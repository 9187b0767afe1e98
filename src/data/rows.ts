/** Rows as they come out of a file. */

export type Row = Readonly<Record<string, unknown>>

export interface Rows {
  rows: Row[]
  /** what a row is called by number: `row` or `line` */
  unit: string
  /** numbers of the rows, where they are not 1, 2, 3 … */
  numbers?: number[]
}
