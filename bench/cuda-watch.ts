/** A process and what it takes of the card while it runs: the process's memory by NVML, the card's clocks and heat. */
import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { visibleCards } from '../src/devices/cuda/cards.ts'
import { Driver } from '../src/devices/cuda/driver.ts'
import { type CardState, type Nvml, nvmlOf } from '../src/devices/cuda/nvml.ts'

/** ms between two looks */
const LOOK = 20
/** of the looks, those that ask for clocks, too */
const CLOCKS = 10

export interface Line {
  text: string
  /** Date.now() when it was read */
  at: number
}

export interface Spread {
  least: number
  median: number
  most: number
}

export interface Watched {
  lines: Line[]
  /** the most that the process had on the card between two moments, bytes */
  memory(from: number, to: number): number
  cards(from: number, to: number): Record<keyof CardState, Spread> | null
}

/** Runs a program to its end. @throws Error with the end of what it printed where it fails */
export async function watched(nvml: Nvml, command: string, args: readonly string[], { env }: { env: NodeJS.ProcessEnv }): Promise<Watched> {
  const child = spawn(command, args, { env, stdio: ['ignore', 'pipe', 'pipe'] })
  const lines: Line[] = []
  const errors: string[] = []
  createInterface({ input: child.stdout }).on('line', (text) => lines.push({ text, at: Date.now() }))
  child.stderr.on('data', (data) => errors.push(String(data)))
  const memory: { at: number; bytes: number }[] = []
  const cards: (CardState & { at: number })[] = []
  let looks = 0
  const timer = setInterval(() => {
    memory.push({ at: Date.now(), bytes: nvml.ofProcess(child.pid!) })
    if (looks++ % CLOCKS === 0) cards.push({ at: Date.now(), ...nvml.state() })
  }, LOOK)
  const status = await new Promise<number | string>((done, failed) => {
    child.on('error', failed)
    child.on('close', (code, signal) => done(code ?? signal ?? 'killed'))
  }).finally(() => clearInterval(timer))
  if (status !== 0) {
    const text = errors.join('').split('\n').filter((line) => line.trim() !== '') // biome-ignore format: short
    const first = text.findIndex((line) => /^\w*Error/.test(line))
    const said = first < 0 ? [...text.slice(-8), ...lines.slice(-3).map((line) => line.text)] : text.slice(first, first + 8)
    throw new Error(`${command} ${args[0]} ended with ${status}: ${said.join('\n  ')}`)
  }
  const within = <T extends { at: number }>(list: T[], from: number, to: number) => list.filter(({ at }) => at >= from && at <= to)
  return {
    lines,
    memory: (from, to) => Math.max(0, ...within(memory, from, to).map(({ bytes }) => bytes)),
    cards(from, to) {
      const seen = within(cards, from, to)
      if (seen.length === 0) return null
      const keys = ['smMHz', 'memoryMHz', 'celsius', 'watts'] as const
      return Object.fromEntries(keys.map((key) => [key, spread(seen.map((state) => state[key]))])) as Record<keyof CardState, Spread>
    },
  }
}

function spread(values: number[]): Spread {
  const sorted = values.sort((a, b) => a - b)
  return { least: sorted[0]!, median: sorted[sorted.length >> 1]!, most: sorted.at(-1)! }
}

/** The card that CUDA calls its first, which may be another one's number here. */
export function firstVisible(): Nvml {
  const [first] = visibleCards(new Driver())
  if (!first) throw new Error('no card is visible')
  return nvmlOf(first.uuid)
}
