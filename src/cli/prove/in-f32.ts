/** Both sides of a run in half precision once more in f32, where mistakes are not below what half precision rounds. */
import { SaqrError } from '../../error.ts'
import { makeFolder } from '../../hub/files.ts'
import { progress } from './progress.ts'
import { runSaqr, type SaqrRequest, type SaqrSide } from './saqr-side.ts'
import { runTrl, type TrlRequest, type TrlSide } from './trl-side.ts'

export interface InF32<Side> {
  /** null: it could not run so */
  side: Side | null
  /** what was done, or why it wasn't */
  said: string
}

/** TRL once more, in f32, from the values that `f32From` began with: what its half precision costs. A model that doesn't fit so is told of. */
export async function trlInF32(request: Omit<TrlRequest, 'onStep'>): Promise<InF32<TrlSide>> {
  const { work, io, steps } = request
  makeFolder(work)
  try {
    const side = await runTrl({ ...request, onStep: (step, loss) => progress(io, 'TRL in f32', step, steps, loss) })
    return {
      side,
      said: 'TRL was run once more in f32 by a process of its own, from the same values: how far its first gradients and its losses are from those is the measure of how far saqr’s may be from TRL’s.',
    }
  } catch (error) {
    io.signal.throwIfAborted()
    if (!(error instanceof SaqrError)) throw error
    const said =
      'TRL could not run in f32 (trl-f32.log says why), so what its half precision costs isn’t measured: what is allowed is estimated from the arithmetic.'
    io.err.write(`saqr: ${said}\n`)
    return { side: null, said }
  }
}

/**
 * saqr once more in f32, beside that run of TRL: where its own mistakes would not be below what half precision rounds. Not where TRL computed
 * with other values than the checkpoint's.
 */
export async function saqrInF32(request: Omit<SaqrRequest, 'onStep'>, trl: TrlSide, { storages }: SaqrSide): Promise<InF32<SaqrSide>> {
  const { recipe, io, steps, work } = request
  const skipped = (why: string) => {
    const said = `saqr was not compared with TRL’s run in f32: ${why}. So what half precision rounds may hide small mistakes.`
    io.err.write(`saqr: ${said}\n`)
    return { side: null, said }
  }
  const other = roundedFrom(trl.held, recipe.options.dtype, storages)
  if (other !== null) return skipped(`TRL held the base in ${other}, and its files have it in ${[...storages].join(', ')}`)
  makeFolder(work)
  try {
    const options = { ...recipe.options, bf16: false, dtype: 'float32' as const }
    const side = await runSaqr({
      ...{ ...request, recipe: { ...recipe, options } },
      onStep: (step, loss) => progress(io, 'saqr in f32', step, steps, loss),
    })
    return { side, said: 'saqr was run in f32 too, and compared with TRL’s run in f32 as runs in f32 are: a wrong scale, rate, loss or decay shows there, where nothing is rounded to half precision.' } // biome-ignore format: one sentence
  } catch (error) {
    io.signal.throwIfAborted()
    if (!(error instanceof SaqrError)) throw error
    return skipped(error.message)
  }
}

/** The type of few bits that the base's values were rounded to when TRL opened it, though files have them otherwise; null: none. */
export function roundedFrom(held: readonly string[], dtype: string | null, storages: ReadonlySet<string>): string | null {
  const halves = new Map([
    ['torch.bfloat16', 'BF16'],
    ['torch.float16', 'F16'],
  ])
  const types = [...held, ...(dtype === null ? [] : [`torch.${dtype}`])]
  // codes of 4 bits are taken as they are
  return (
    types.find((type) => halves.has(type) && [...storages].some((storage) => storage !== halves.get(type) && storage !== 'nf4')) ?? null
  )
}
