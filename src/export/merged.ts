/**
 * Base and adapter as one checkpoint: W + s·B·A, computed in f32 and rounded once. A head that reads the embedding gets a weight of its own
 * where one of the two was changed.
 */
import type { LanguageModel } from '../engine/language-model.ts'
import { writeModelFolder } from '../engine/model-folder.ts'
import { saveTrained } from '../engine/save.ts'
import { find } from '../engine/weights.ts'
import { asF32 } from '../formats/numbers.ts'
import { loraScale } from '../formats/peft/scale.ts'
import type { CheckpointTensor } from '../formats/tensor.ts'

export async function saveMerged(model: LanguageModel, folder: string): Promise<void> {
  if (model.spec.kind !== 'lora') return saveTrained(model, folder)
  const { head } = model.open.model
  if (!head.tiedTo) return writeModelFolder(model.open, folder, (t) => merged(model, t.name, t))

  const embedding = find(model.open.checkpoint, { name: `${head.tiedTo}.weight`, rows: head.vocab, cols: head.channels })
  const changed = merged(model, `${head.tiedTo}.weight`, embedding) !== null || merged(model, `${head.path}.weight`, embedding) !== null
  const values = () => merged(model, `${head.path}.weight`, embedding) ?? asF32(embedding.load('f32'))
  await writeModelFolder(
    model.open,
    folder,
    (t) => merged(model, t.name, t),
    changed ? { config: { tie_word_embeddings: false }, extra: [{ name: `${head.path}.weight`, shape: embedding.shape, values }] } : {},
  )
}

/** new values of the tensor `name` whose base is `t` (rows × cols), or null where the adapter leaves it as it is */
function merged(model: LanguageModel, name: string, t: CheckpointTensor): Float32Array | null {
  const { trainables, spec } = model
  const path = name.replace(/\.(weight|bias)$/, '')
  const whole = trainables.values(name) ?? (name.endsWith('.bias') ? trainables.values(`${path}.base_layer.bias`) : null)
  if (whole) return whole
  if (spec.kind !== 'lora' || !name.endsWith('.weight')) return null
  const scale = loraScale(spec.config, path)
  const [a, b] = [trainables.values(`${path}.lora_A.weight`), trainables.values(`${path}.lora_B.weight`)]
  if (a && b) return addLowRank(asF32(t.load('f32')), b, a, scale, t.cols)
  // an embedding's A is (r, V) and B (C, r): W (V, C) gains s·(B·A)ᵀ
  const [embeddingA, embeddingB] = [trainables.values(`${path}.lora_embedding_A`), trainables.values(`${path}.lora_embedding_B`)]
  if (!embeddingA || !embeddingB) return null
  const r = embeddingA.length / t.rows
  return addLowRank(asF32(t.load('f32')), transpose(embeddingA, r, t.rows), transpose(embeddingB, t.cols, r), scale, t.cols)
}

/** w (N, K) + scale · b (N, r) · a (r, K), into w */
function addLowRank(w: Float32Array, b: Float32Array, a: Float32Array, scale: number, cols: number): Float32Array {
  const rows = w.length / cols
  const r = a.length / cols
  const delta = new Float64Array(cols)
  for (let n = 0; n < rows; n++) {
    delta.fill(0)
    for (let i = 0; i < r; i++) {
      const factor = b[n * r + i]! * scale
      const row = i * cols
      for (let k = 0; k < cols; k++) delta[k]! += factor * a[row + k]!
    }
    const at = n * cols
    for (let k = 0; k < cols; k++) w[at + k]! += delta[k]!
  }
  return w
}

function transpose(x: Float32Array, rows: number, cols: number): Float32Array {
  const t = new Float32Array(x.length)
  for (let i = 0; i < rows; i++) for (let j = 0; j < cols; j++) t[j * rows + i] = x[i * cols + j]!
  return t
}
