/** The cards that a driver shows this process, before one is opened; what hides the others. */
import { option, SaqrError, say } from '../../error.ts'
import type { Driver } from './driver.ts'

/** CU_DEVICE_ATTRIBUTE_… */
export const ATTRIBUTE = { multiprocessors: 16, integrated: 18, major: 75, minor: 76, registeredBySameAddress: 91 }
/** what the kernels are written for */
const OLDEST = 75
/** CUresult of a machine that has a driver and no card: none is visible, or the library is the toolkit's stand-in for a driver */
const NO_CARD = { none: 100, standIn: 34 }
/** what helps where cuInit refuses, by CUresult */
const REMEDIES: Readonly<Record<number, string>> = {
  802: "machines whose cards are joined by NVSwitch need NVIDIA's fabric manager running (systemctl status nvidia-fabricmanager)",
  803: 'restart the machine if the driver was just updated; in a container, take away a libcuda of its own (cuda-compat, LD_LIBRARY_PATH)',
  804: "the libcuda that was loaded is newer than the machine's driver (cuda-compat, LD_LIBRARY_PATH), which only data-centre cards take: take it away, or update the driver",
  999: 'where the machine slept, load nvidia_uvm anew (sudo modprobe -r nvidia_uvm && sudo modprobe nvidia_uvm); in a container, see that /dev/nvidia-uvm is there; else check nvidia-smi',
}

export interface CardFacts {
  /** of those that the process sees, from 0 */
  ordinal: number
  /** the driver's handle */
  device: number
  name: string
  /** compute capability: 90 */
  arch: number
  /** where nvidia-smi shows it, which numbers cards otherwise: 0000:3b:00.0 */
  bus: string
  /** as CUDA_VISIBLE_DEVICES takes it behind GPU- or MIG- */
  uuid: string
}

/** @throws SaqrError DEVICE_CUDA_DRIVER for a driver that can't be used */
export function visibleCards(driver: Driver): CardFacts[] {
  const status = driver.raw.init(0) as number
  if (status === NO_CARD.standIn) return []
  if (status !== 0 && status !== NO_CARD.none)
    throw new SaqrError(
      'DEVICE_CUDA_DRIVER',
      say`The NVIDIA driver can't be used (${driver.words('init', status)}): ${REMEDIES[status] ?? 'check nvidia-smi, restart the machine if the driver was just updated'}, or use the CPU with ${option('device')} cpu.`,
    )
  const count = status === 0 ? driver.int('deviceCount') : 0
  return Array.from({ length: count }, (_, ordinal) => {
    const device = driver.int('deviceGet', ordinal)
    const text = (name: 'deviceName' | 'deviceBus') => {
      const bytes = new Uint8Array(256)
      driver.call(name, bytes, bytes.length, device)
      return new TextDecoder().decode(bytes.subarray(0, bytes.indexOf(0)))
    }
    const arch = driver.int('deviceAttribute', ATTRIBUTE.major, device) * 10 + driver.int('deviceAttribute', ATTRIBUTE.minor, device)
    const bytes = new Uint8Array(16)
    driver.call('deviceUuid', bytes, device)
    const hex = Buffer.from(bytes).toString('hex')
    const uuid = [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-')
    return { ordinal, device, name: text('deviceName'), arch, bus: text('deviceBus').toLowerCase(), uuid }
  })
}

export const isUsable = ({ arch }: CardFacts) => arch >= OLDEST

/**
 * @param ordinal undefined: the first that saqr can use
 * @throws SaqrError DEVICE_CUDA_MISSING, DEVICE_CUDA_HIDDEN, DEVICE_CUDA_CARD
 */
export function chosenCard(cards: readonly CardFacts[], ordinal?: number): CardFacts {
  const found = ordinal === undefined ? (cards.find(isUsable) ?? cards[0]) : cards[ordinal]
  if (!found) throw missing(ordinal ?? 0, cards.length)
  if (isUsable(found)) return found
  const others = cards.filter(isUsable).map((card) => `cuda:${card.ordinal} (${card.name})`)
  throw new SaqrError(
    'DEVICE_CUDA_CARD',
    say`${found.name} has compute capability ${(found.arch / 10).toFixed(1)}; saqr needs ${OLDEST / 10} (Turing) or later. Use ${others.length > 0 ? `${others.join(' or ')}, or ` : ''}the CPU with ${option('device')} cpu.`,
  )
}

/** CUDA_VISIBLE_DEVICES hides what stands behind the first that there isn't: a name of a card, of a part of one, or a number begins a list that means one */
const meansCard = (visible: string) => /^\s*(\d|GPU-|MIG-)/.test(visible)

function missing(ordinal: number, count: number): SaqrError {
  const { CUDA_VISIBLE_DEVICES: visible } = process.env
  const asked = ordinal === 0 && count === 0 ? 'There is no CUDA card' : `There is no CUDA card ${ordinal}`
  const are = count === 0 ? 'none is visible' : count === 1 ? 'one is visible, cuda:0' : `${count} are visible, cuda:0 to cuda:${count - 1}`
  const hidden = visible === undefined ? '' : `; CUDA_VISIBLE_DEVICES is set to '${visible}'`
  const advice = visible === undefined ? 'Check nvidia-smi' : 'Unset it or name the cards in it (nvidia-smi -L lists them)'
  return new SaqrError(
    // a list that was meant to name a card and names none is a slip, which `auto` tells too
    count === 0 && visible !== undefined && meansCard(visible) ? 'DEVICE_CUDA_HIDDEN' : 'DEVICE_CUDA_MISSING',
    say`${asked}: ${are}${hidden}. ${advice}, or use the CPU with ${option('device')} cpu.`,
  )
}
