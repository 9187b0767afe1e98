/** A row of data as token ids: what `prepare` makes, `packing` joins, `sampler` orders and `planPasses` lays out. */

export interface Example {
  /** (n) token ids */
  ids: Int32Array
  /** (n) 1 where the token is a target (a label that is not −100 in TRL's terms); the first token of a sequence never is one in effect */
  targets: Uint8Array
  /** number of the row in its source, from 1; of a packed example, that of its first row */
  row: number
  /** the file or name the row came from */
  source: string
  /** of sequences with a prompt: how many of the tokens of each are its */
  prompts?: readonly number[]
  /** of a rated answer: is it a wanted one? */
  wanted?: boolean
  /** a packed example, or one of several answers: where each of its sequences starts (the first is 0); they don't see each other. Absent: one sequence */
  starts?: Int32Array
  /** of one that is made anew whenever it is asked for: which it is */
  place?: Place
}

/** Item `i` of a list that stays on disk. */
export interface Place {
  of: { readonly length: number }
  i: number
}
