/** Numbers in [0, 1) by a seed: mulberry32, a public-domain generator of 32 bits; the first ones of neighbouring seeds are alike, so they are left out. */
export function mulberry32(seed: number): () => number {
  let state = Math.imul(seed, 0x9e3779b1) | 0
  const next = () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t ^= t + Math.imul(t ^ (t >>> 7), 61 | t)
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
  for (let i = 0; i < 5; i++) next()
  return next
}
