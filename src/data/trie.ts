/**
 * Lays sequences depth-first into the flat arrays of a pass. A token's subtree is a contiguous run after it, so one mask says
 * causality, row boundaries and shared beginnings: key `j` is seen by queries visibleFrom[j] … visibleUntil[j] − 1, which is
 * [j, end of j's subtree). A token that a row shares with the row before it is not laid again.
 */

/** A run of tokens that see only those before them in the run. `row` numbers the sequences of an optimizer step, `example` its examples. */
export interface Sequence {
  ids: Int32Array
  targets: Uint8Array
  row: number
  example: number
  /** which sequence of its example it is, from 0 */
  part: number
  /** micro-batch of the step that it belongs to, where passes keep them apart */
  batch: number
  /** computed as part of a long micro-batch (`Model.longBeyond`) */
  long: boolean
}

/** A sequence of a pass; its first `shared` tokens are those of the sequence laid before it. */
export interface Branch {
  sequence: Sequence
  shared: number
}

/**
 * The inputs of one forward and backward pass over T tokens, pads included. Arrays have length T where nothing else is said.
 * The token at depth p of a row predicts the row's token at p + 1.
 */
export interface Pass {
  /** T: `computedTokens` rounded up by `paddedTokens` */
  tokens: number
  ids: Int32Array
  /** position within the row: what a sliding window counts in */
  depth: Int32Array
  /** RoPE position */
  position: Int32Array
  /** 1: of a row that is computed as a long one; pads 0 */
  long: Int32Array
  visibleFrom: Int32Array
  visibleUntil: Int32Array
  /** sequence of the step the token belongs to (the first one, where several share it); pads −1 */
  row: Int32Array
  /** micro-batches of the pass, and (T × batches) of how many rows of each a token is part; pads 0. 1: they are not kept apart */
  batches: number
  batchRows: Float32Array
  /** positions that have a target, ascending, one as often as it is asked (`entryAlone`); the first `headCount` count */
  headPositions: Int32Array
  headCount: number
  /** (T + 1) entries of head position i (an index into `headPositions`): entryStart[i] … entryStart[i + 1] − 1 */
  entryStart: Int32Array
  /** id of the token to predict */
  entryTarget: Int32Array
  /** number of rows that have it as a target; 0 past the last entry */
  entryWeight: Float32Array
  /** (T + 1) and (targets): those rows, for entry e: entrySequence[entrySequenceStart[e]] … entrySequence[entrySequenceStart[e + 1] − 1], indices into `sequences` */
  entrySequenceStart: Int32Array
  entrySequence: Int32Array
  /** in the order they are laid */
  sequences: readonly Sequence[]
  /** tokens of the rows, every shared one counted for each row */
  rowTokens: number
  /** tokens laid out, pads not counted */
  computedTokens: number
  /** targets of the rows: the sum of `entryWeight` */
  targets: number
}

/** Branches whose tokens, shared ones once, number at most `tokens`. `entryAlone`: a head position for each entry. */
export function layOut(branches: readonly Branch[], tokens: number, entryAlone = false): Pass {
  const int = (length = tokens) => new Int32Array(length)
  const pass = {
    ids: int(),
    depth: int(),
    position: int(),
    long: int(),
    visibleFrom: int(),
    visibleUntil: int(),
    row: int().fill(-1),
  }
  const parent = int().fill(-1)
  const weight = new Float32Array(tokens) // of predicting the token from its parent
  const numbers = [...new Set(branches.map(({ sequence }) => sequence.batch))]
  const batches = Math.max(1, numbers.length)
  const batchRows = new Float32Array(tokens * batches)
  const predictions: number[] = [] // a token to predict and the sequence it is a target of, by turns
  let rowTokens = 0

  const path: number[] = [] // where the tokens of the current row lie
  let at = 0
  const close = (from: number) => {
    for (let d = from; d < path.length; d++) pass.visibleUntil[path[d]!] = at
    path.length = from
  }
  for (const [i, { sequence, shared }] of branches.entries()) {
    close(shared)
    for (let d = shared; d < sequence.ids.length; d++, at++) {
      pass.ids[at] = sequence.ids[d]!
      pass.depth[at] = pass.position[at] = d
      pass.long[at] = Number(sequence.long)
      pass.visibleFrom[at] = at
      pass.row[at] = sequence.row
      if (d > 0) parent[at] = path[d - 1]!
      path.push(at)
    }
    for (let d = 1; d < path.length; d++) {
      if (!sequence.targets[d]) continue
      weight[path[d]!]!++
      predictions.push(path[d]!, i)
    }
    const batch = numbers.indexOf(sequence.batch)
    for (const t of path) batchRows[t * batches + batch]!++
    rowTokens += path.length
  }
  close(0)
  for (let t = at; t < tokens; t++) {
    pass.visibleFrom[t] = t
    pass.visibleUntil[t] = t + 1
  }
  const computedTokens = at
  const sequences = branches.map(({ sequence }) => sequence)
  const head = entries(pass.ids, parent, weight, predictions, entryAlone)
  return { tokens, ...pass, batches, batchRows, ...head, sequences, rowTokens, computedTokens, targets: predictions.length / 2 }
}

/** Entries grouped by the position that predicts them, each with the sequences it is a target of. Children of a token have different ids, so each is an entry of its own. */
function entries(ids: Int32Array, parent: Int32Array, weight: Float32Array, predictions: readonly number[], alone: boolean) {
  const tokens = ids.length
  const next = new Int32Array(tokens) // first the entries of each position, then where its next one goes
  for (let t = 0; t < tokens; t++) if (weight[t]! > 0) next[parent[t]!]!++
  const headPositions = new Int32Array(tokens)
  const entryStart = new Int32Array(tokens + 1)
  let headCount = 0
  let total = 0
  for (let t = 0; t < tokens; t++) {
    const count = next[t]!
    if (count === 0) continue
    next[t] = total
    for (let left = count; left > 0; left -= alone ? 1 : count) {
      headPositions[headCount++] = t
      entryStart[headCount] = total += alone ? 1 : count
    }
  }
  entryStart.fill(total, headCount)
  const entryTarget = new Int32Array(tokens)
  const entryWeight = new Float32Array(tokens)
  const entryOf = new Int32Array(tokens) // of the token that it predicts
  for (let t = 0; t < tokens; t++) {
    if (weight[t]! === 0) continue
    const e = (entryOf[t] = next[parent[t]!]!++)
    entryTarget[e] = ids[t]!
    entryWeight[e] = weight[t]!
  }
  const rows = entrySequences(entryWeight, entryOf, predictions)
  return { headPositions, headCount, entryStart, entryTarget, entryWeight, ...rows }
}

function entrySequences(entryWeight: Float32Array, entryOf: Int32Array, predictions: readonly number[]) {
  const entrySequenceStart = new Int32Array(entryWeight.length + 1)
  for (let e = 0; e < entryWeight.length; e++) entrySequenceStart[e + 1] = entrySequenceStart[e]! + entryWeight[e]!
  const entrySequence = new Int32Array(predictions.length / 2)
  const next = entrySequenceStart.slice()
  for (let p = 0; p < predictions.length; p += 2) entrySequence[next[entryOf[predictions[p]!]!]!++] = predictions[p + 1]!
  return { entrySequenceStart, entrySequence }
}
