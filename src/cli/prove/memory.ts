/** The most memory that a process has on cards, asked for again and again while it runs. */
import { Nvml } from '../../devices/cuda/nvml.ts'
import type { Memory } from './recorded.ts'

/** ms between two looks */
const EVERY = 100

/** Looks from now on; ending it gives the most that was seen, as often as it is asked. @param pid null: nobody's yet */
export function watchCards(): { of(pid: number): void; end(): Memory['card'] } {
  const cards = allCards()
  const before = cards.map((card) => card.memory().used)
  const most = { own: 0, beyond: 0 }
  let pid = 0
  let ended: { most: Memory['card'] } | undefined
  const look = () => {
    const sum = (of: (card: Nvml, i: number) => number) => cards.reduce((n, card, i) => n + of(card, i), 0)
    most.own = Math.max(most.own, pid === 0 ? 0 : sum((card) => card.ofProcess(pid)))
    most.beyond = Math.max(
      most.beyond,
      sum((card, i) => card.memory().used - before[i]!),
    )
  }
  const tryToLook = () => {
    try {
      look()
    } catch {
      // a card that is lost says so where it is computed on
    }
  }
  const timer = cards.length > 0 ? setInterval(tryToLook, EVERY) : undefined
  timer?.unref()
  return {
    of: (id) => void (pid = id),
    end() {
      ended ??= { most: finish() }
      return ended.most
    },
  }

  function finish(): Memory['card'] {
    clearInterval(timer)
    if (cards.length === 0) return null
    tryToLook()
    for (const card of cards) card.close()
    // in a container NVML may know the process by another number
    return most.own > 0
      ? { bytes: most.own, by: 'NVML, of the process' }
      : { bytes: most.beyond, by: 'NVML, what the cards had beyond what they had before' }
  }
}

function allCards(): Nvml[] {
  try {
    const first = new Nvml()
    return Array.from({ length: first.count() }, (_, i) => (i === 0 ? first : new Nvml(i)))
  } catch {
    return [] // no driver
  }
}
