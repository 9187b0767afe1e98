/**
 * The nearest product of a lower rank to B · A, by singular values (Eckart, Young 1936), without the product itself: B = Q_B·R_B, Aᵀ = Q_A·R_A, and the
 * singular values of B·A are those of R_B·R_Aᵀ, which is as small as the rank. In f64, each result rounded once.
 */

/**
 * @param product b [rows, inner] and a [inner, cols], row by row
 * @returns b = U·S [rows, rank], a = Vᵀ [rank, cols]; 0 beyond the rank that the product has
 */
export function lowRankSvd(
  { a, b }: { a: Float32Array; b: Float32Array },
  [rows, inner, cols]: readonly [rows: number, inner: number, cols: number],
  rank: number,
): { a: Float32Array; b: Float32Array } {
  const ofB = orthogonal(vectors(inner, rows, (k, row) => b[row * inner + k]!))
  const ofA = orthogonal(vectors(inner, cols, (k, col) => a[k * cols + col]!))
  // column j of R_B·R_Aᵀ
  const small = vectors(inner, inner, (j, i) => ofB.r.reduce((sum, column, k) => sum + column[i]! * ofA.r[k]![j]!, 0))
  const { scaled, right, sizes } = jacobi(small)
  const order = [...sizes.keys()].sort((x, y) => sizes[y]! - sizes[x]!).slice(0, rank)
  const out = { a: new Float32Array(rank * cols), b: new Float32Array(rows * rank) }
  for (const [n, k] of order.entries()) {
    if (sizes[k] === 0) break
    const [left, turned] = [new Float64Array(rows), new Float64Array(cols)]
    for (let j = 0; j < inner; j++) {
      add(left, ofB.q[j]!, scaled[k]![j]!)
      add(turned, ofA.q[j]!, right[k]![j]!)
    }
    for (let row = 0; row < rows; row++) out.b[row * rank + n] = left[row]!
    out.a.set(turned, n * cols)
  }
  return out
}

const vectors = (count: number, length: number, value: (n: number, i: number) => number): Float64Array[] =>
  Array.from({ length: count }, (_, n) => Float64Array.from({ length }, (_, i) => value(n, i)))

function dot(x: Float64Array, y: Float64Array): number {
  let sum = 0
  for (let i = 0; i < x.length; i++) sum += x[i]! * y[i]!
  return sum
}

function add(to: Float64Array, x: Float64Array, by: number): void {
  if (by !== 0) for (let i = 0; i < to.length; i++) to[i]! += by * x[i]!
}

/** Gram and Schmidt's, each vector made orthogonal twice: that is enough (Giraud et al. 2005). @returns the columns of Q and of R */
function orthogonal(columns: Float64Array[]): { q: Float64Array[]; r: Float64Array[] } {
  const r = columns.map(() => new Float64Array(columns.length))
  for (const [n, x] of columns.entries()) {
    const before = Math.sqrt(dot(x, x))
    for (let turn = 0; turn < 2; turn++)
      for (let k = 0; k < n; k++) {
        const along = dot(columns[k]!, x)
        add(x, columns[k]!, -along)
        r[n]![k]! += along
      }
    const size = Math.sqrt(dot(x, x))
    // what is left of a vector that lies among the others is rounding
    const lies = size <= 1e-13 * before
    r[n]![n] = lies ? 0 : size
    for (let i = 0; i < x.length; i++) x[i] = lies ? 0 : x[i]! / size
  }
  return { q: columns, r }
}

/** One-sided Jacobi (Hestenes 1958): columns are turned in pairs until all are orthogonal. @returns U·S, V and S by columns */
function jacobi(columns: Float64Array[]): { scaled: Float64Array[]; right: Float64Array[]; sizes: number[] } {
  const n = columns.length
  const right = vectors(n, n, (j, i) => Number(i === j))
  for (let sweep = 0, turned = true; turned && sweep < 60; sweep++) {
    turned = false
    for (let p = 0; p < n; p++)
      for (let q = p + 1; q < n; q++) {
        const [x, y] = [columns[p]!, columns[q]!]
        const [xx, yy, xy] = [dot(x, x), dot(y, y), dot(x, y)]
        if (Math.abs(xy) <= 1e-15 * Math.sqrt(xx * yy)) continue
        turned = true
        const zeta = (yy - xx) / (2 * xy)
        const tangent = (zeta < 0 ? -1 : 1) / (Math.abs(zeta) + Math.hypot(1, zeta))
        const cosine = 1 / Math.hypot(1, tangent)
        turn(x, y, cosine, cosine * tangent)
        turn(right[p]!, right[q]!, cosine, cosine * tangent)
      }
  }
  return { scaled: columns, right, sizes: columns.map((x) => Math.sqrt(dot(x, x))) }
}

function turn(x: Float64Array, y: Float64Array, cosine: number, sine: number): void {
  for (let i = 0; i < x.length; i++) {
    const [a, b] = [x[i]!, y[i]!]
    x[i] = cosine * a - sine * b
    y[i] = sine * a + cosine * b
  }
}
