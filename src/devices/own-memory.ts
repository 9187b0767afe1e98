/** What this process holds of the machine's memory, by which a device says how much there is for a plan. */
import { SaqrError } from '../error.ts'

/**
 * Bytes, as the system counts them.
 * @throws SaqrError DEVICE_MEMORY where the system shows a process nothing of itself: Linux without /proc
 */
export function ownMemory(ask: () => NodeJS.MemoryUsage = () => process.memoryUsage()): NodeJS.MemoryUsage {
  try {
    return ask()
  } catch (cause) {
    const remedy = process.platform === 'linux' ? '. Mount /proc' : ''
    throw new SaqrError('DEVICE_MEMORY', `this process can't ask how much memory it holds (${(cause as Error).message})${remedy}`, {
      cause,
    })
  }
}
