/** `saqr doctor`: what this machine has, where it was found, and what it can do at most. */
import { freemem, totalmem } from 'node:os'
import { z } from 'zod'
import { CpuDevice } from '../../devices/cpu/device.ts'
import { placeLines } from '../../devices/cpu/processors.ts'
import { Card } from '../../devices/cuda/card.ts'
import { type CardFacts, chosenCard, visibleCards } from '../../devices/cuda/cards.ts'
import { Compiler, targetOf } from '../../devices/cuda/compiler.ts'
import { Driver, versionName } from '../../devices/cuda/driver.ts'
import type { KernelCache } from '../../devices/cuda/kernel-cache.ts'
import { candidates, type LibraryName, openLibrary } from '../../devices/cuda/libraries.ts'
import type { Limits } from '../../devices/device.ts'
import { platformHere, proofOf } from '../../devices/platforms.ts'
import { PROOFS } from '../../devices/proofs.ts'
import { option, SaqrError, say } from '../../error.ts'
import { runtime, version } from '../../hub/version.ts'
import { bytes, short } from '../../track/numbers.ts'
import { honoured } from '../../train/options/field.ts'
import { described, flag } from '../../train/options/schemas.ts'
import { sftFields } from '../../train/options/sft.ts'
import { spelling } from '../../train/options/spelling.ts'
import { installCuda } from '../install-cuda.ts'
import { defineVerb } from '../verb.ts'

const fields = {
  json: honoured(flag, false, 'print it as JSON'),
  probe: honoured(flag, true, 'measure the limits (about a second a device)'),
  install_cuda: honoured(
    described(z.union([z.boolean(), z.string()]), 'nothing, or 12 or 13', (value) => typeof value === 'boolean' || /^1[23]$/.test(value)),
    false,
    'fetch NVIDIA’s NVRTC and cuBLAS (it asks first), so that a card can train where only a driver is installed; with a number (12 or 13), those for drivers of that CUDA version, also on a machine without one',
  ),
  yes: honoured(flag, false, 'with --install_cuda: fetch without asking; NVIDIA’s licence is accepted by it'),
}

/** One thing that was looked for. */
interface Finding {
  name: string
  ok: boolean
  /** a line of what was found, or the error that says what to do */
  lines: string[]
}

export const doctor = defineVerb({
  name: 'doctor',
  summary: 'show what this machine has to train on, and how fast it is at most',
  usage: '[options]',
  examples: ['saqr doctor', 'saqr doctor --install_cuda', 'saqr doctor --install_cuda 13 --yes'],
  fields,
  themes: [{ title: 'Options', fields }],
  async run({ options, io }) {
    if (options.yes && options.installCuda === false)
      throw new SaqrError('OPTION_INVALID', say`${option('yes')} answers what ${option('installCuda')} asks: give both, or leave it out`)
    if (options.installCuda !== false) {
      const major = options.installCuda === true ? undefined : Number(options.installCuda)
      if (!(await installCuda(major, options.yes, io))) return 1
    }
    const findings = [host(), look('cpu', () => cpu(options.probe)), ...cuda()]
    if (options.json) io.out.write(`${JSON.stringify(findings, null, 2)}\n`)
    else for (const { name, ok, lines } of findings) io.out.write(page(name, ok, lines))
    return findings.every((f) => f.ok || optional(f.name)) ? 0 : 1
  },
})

function page(name: string, ok: boolean, lines: string[]): string {
  return lines.map((line, i) => `${(i === 0 ? `${ok ? '✓' : optional(name) ? '–' : '✗'} ${name}` : '').padEnd(11)} ${line}\n`).join('')
}

/** A machine needs no GPU. */
function optional(name: string): boolean {
  return name.startsWith('cuda')
}

/** What can't be had is a finding here, not an error. */
function look(name: string, find: () => string[]): Finding {
  try {
    return { name, ok: true, lines: find() }
  } catch (error) {
    return { name, ok: false, lines: [told(error)] }
  }
}

function told(error: unknown): string {
  if (!(error instanceof SaqrError)) throw error
  error.respell(spelling(sftFields)) // what it advises is for the verbs that train
  return `${error.code}: ${error.message}`
}

function host(): Finding {
  return look('saqr', () => [
    `${version()} on ${runtime()}, ${process.platform} ${process.arch}`,
    platformHere().title,
    `${bytes(totalmem())} of memory, ${bytes(freemem())} free`,
  ])
}

function cpu(probe: boolean): string[] {
  const device = new CpuDevice()
  try {
    // of the variant that runs here: the README has them all
    const proof = proofOf(
      platformHere().name,
      PROOFS.filter(({ variant }) => variant === device.variant),
    )
    return [
      device.describe().label,
      `as built and run: ${proof}`,
      ...placeLines(),
      ...(probe ? [limitsLine(device.limits({ anew: true }))] : []),
    ]
  } finally {
    device.dispose()
  }
}

function cuda(): Finding[] {
  let newest = 0
  let cards: CardFacts[] = []
  const all = look('cuda', () => {
    const driver = new Driver()
    newest = Math.floor(driver.version / 1000)
    cards = visibleCards(driver)
    chosenCard(cards) // says what is wrong where there is none
    return cards.flatMap((card) => cardLines(card, versionName(driver.version)))
  })
  if (!all.ok) return [all]
  const { arch } = chosenCard(cards)
  const library = (name: LibraryName, find: () => string[]) =>
    look(`cuda ${name}`, () => {
      const [path, ...more] = find()
      return [`${path} (of ${candidates(name, newest).length} places)`, ...more]
    })
  return [
    all,
    library('nvrtc', () => {
      const { path, version, cache } = new Compiler({ newest, arch })
      return [path, `version ${version}; ${keptLine(cache)}`]
    }),
    library('cublasLt', () => [openLibrary('cublasLt', newest).path]),
  ]
}

/** A card as `--device` and as nvidia-smi name it. One that is full or taken, or that saqr can't use, is told beside the others. */
function cardLines({ ordinal, name, bus, arch }: CardFacts, driver: string): string[] {
  const which = `cuda:${ordinal} ${name} (${bus}), ${targetOf(arch)}`
  try {
    const card = new Card(ordinal)
    try {
      const memory = card.memory()
      return [
        `${which}, ${card.multiprocessors} multiprocessors, driver for CUDA ${driver}`,
        `${bytes(memory.total)} of memory, ${bytes(memory.free)} free`,
      ]
    } finally {
      card.dispose()
    }
  } catch (error) {
    return [which, told(error)]
  }
}

function keptLine(cache: KernelCache): string {
  try {
    cache.check()
    return `kernels are kept in ${cache.folder}`
  } catch (error) {
    return `kernels are compiled anew at each start: ${told(error)}`
  }
}

function limitsLine({ f32, bf16, copy, host }: Limits): string {
  const away = host === undefined ? '' : `, ${short(host)}B/s to the host and back`
  return `at most ${short(bf16)}FLOP/s in bf16, ${short(f32)}FLOP/s in f32, ${short(copy)}B/s copied${away}`
}
