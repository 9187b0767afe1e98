/** Both sides of a run in half precision once more in f32, where mistakes are not below what half precision rounds. */
import { progress } from './progress.ts'
import { ran, whyNot } from './ran.ts'
import { GRADIENT_STEPS } from './recorded.ts'
import { runSaqr, type SaqrRequest, type SaqrSide, type Stored } from './saqr-side.ts'
import { EXACT_SUM } from './summed.ts'
import { CODES, runTrl, type TrlRequest, type TrlSide } from './trl-side.ts'

export interface InF32 {
  /** null: it could not run so */
  trl: TrlSide | null
  /** null: it could not, or what it would compute with isn't what TRL did */
  saqr: SaqrSide | null
  /** what was done, or why it wasn't */
  said: string[]
}

interface Half {
  trl: TrlSide
  saqr: SaqrSide
}

type Ours = Omit<SaqrRequest, 'onStep'>

/** After both ran in half precision, from the values that TRL's run began with (`f32From`). Whatever fails here leaves what is known as it is. */
export async function inF32(half: Half, theirs: Omit<TrlRequest, 'onStep'>, ours: Ours): Promise<InF32> {
  const { io } = ours
  const { options } = ours.recipe
  const rounded = scaledOtherwise(options, theirs.cpu, half.saqr.stored) ?? roundedFrom(half.trl.held, options.dtype, half.saqr.stored)
  const said: string[] = []
  const tell = (line: string) => {
    said.push(line)
    io.err.write(`saqr: ${line}\n`)
  }
  const skipped = (why: string) =>
    tell(`saqr was not compared with TRL in f32, so what half precision rounds may hide small mistakes: ${why}`)
  // its gradients alone, where losses are not compared
  const steps = rounded === null ? theirs.steps : Math.min(theirs.steps, GRADIENT_STEPS)
  const trl = await ran(io.signal, () => runTrl({ ...theirs, steps, exactSoftmax: true, onStep: (step, loss) => progress(io, 'TRL in f32', step, steps, loss) }), theirs.work) // biome-ignore format: short
  if (trl instanceof Error)
    tell(`TRL could not run in f32 (${whyNot(trl, theirs.log)}), so what its half precision costs isn’t measured: what is allowed is estimated from the arithmetic.`) // biome-ignore format: one sentence
  else
    said.push('TRL was run once more in f32 by a process of its own, from the same values: how far its first gradients are from those is the measure of how far saqr’s may be from TRL’s.') // biome-ignore format: one sentence
  if (!(trl instanceof Error) && trl.logSoftmax) said.push(EXACT_SUM)
  if (trl instanceof Error || rounded !== null) {
    if (rounded !== null) skipped(rounded)
    return { trl: trl instanceof Error ? null : trl, saqr: null, said }
  }
  const recipe = { ...ours.recipe, options: { ...options, bf16: false, dtype: 'float32' as const } }
  const saqr = await ran(io.signal, () => runSaqr({ ...ours, recipe, onStep: (step, loss) => progress(io, 'saqr in f32', step, steps, loss) }), ours.work) // biome-ignore format: short
  if (saqr instanceof Error) skipped(saqr.message)
  else
    said.push('saqr was run in f32 too, and compared with TRL’s run in f32 as runs in f32 are: a wrong scale, rate, loss or decay shows there, where nothing is rounded to half precision; what is wrong in half precision alone shows only beyond what that is allowed.') // biome-ignore format: one sentence
  return { trl, saqr: saqr instanceof Error ? null : saqr, said }
}

/** Why both train over bases that differ by more than half precision does. Null: they don't. */
export function baseApart(
  { half, held }: TrlSide,
  { inCodes, stored }: SaqrSide,
  options: SaqrRequest['recipe']['options'],
  cpu: boolean,
): string | null {
  const whole = inCodes.find((name) => (held.get(name) ?? CODES) !== CODES)
  if (whole !== undefined)
    return `saqr holds ${whole} in 4 bits, TRL in ${held.get(whole)}, as bitsandbytes leaves what is no linear (the experts of a mixture). Prove this run without load_in_4bit`
  const scaled = half ? null : scaledOtherwise(options, cpu, stored)
  return scaled === null ? null : `${scaled}. Prove this run without use_bnb_nested_quant, in bf16, or on a card`
}

/** Scales that are quantised as the base is opened: bitsandbytes' CPU code interpolates (formats/dynamic-map.ts), a card takes the nearest, as saqr does. */
function scaledOtherwise(
  { loadIn4bit, useBnbNestedQuant }: SaqrRequest['recipe']['options'],
  cpu: boolean,
  stored: ReadonlyMap<string, Stored>,
): string | null {
  const made = loadIn4bit && useBnbNestedQuant && cpu && [...stored.values()].every(({ storage }) => storage !== 'nf4')
  return made ? 'on the CPU bitsandbytes rounds about one quantised scale (use_bnb_nested_quant) in some hundreds to a neighbour of the nearest, so both bases differ' : null // biome-ignore format: one sentence
}

/** types of files that lose nothing in these */
const EXACT: Readonly<Record<string, readonly string[]>> = { 'torch.bfloat16': ['BF16', 'MXFP4'], 'torch.float16': ['F16'] }

/**
 * Where TRL rounded the base as it opened it, though its files have more bits: what and to what. Null: nowhere.
 * @param held TRL's types, by the base's names
 * @param dtype what the configuration opens it in
 */
export function roundedFrom(held: ReadonlyMap<string, string>, dtype: string | null, stored: ReadonlyMap<string, Stored>): string | null {
  const types = [...held.values()]
  const opened = [...types, `torch.${dtype}`].find((type) => type in EXACT)
  const inCodes = types.includes(CODES)
  for (const [name, { storage, vector }] of stored) {
    const own = held.get(name)
    // a tensor that has another name there is like the others; of a base in 4 bits all was opened in the half type before
    const half = own === undefined ? (vector ? undefined : opened) : own in EXACT ? own : inCodes ? opened : undefined
    // codes are taken as they are
    if (half !== undefined && storage !== 'nf4' && !EXACT[half]!.includes(storage))
      return `TRL held ${name} in ${half}, and its file has it in ${storage}`
  }
  return null
}
