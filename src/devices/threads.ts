/** How many threads of this process can run at once, whatever device computes: as the affinity mask and the quota have it. */
import { processors, usualThreads } from './cpu/processors.ts'

export const runnableThreads = (): number => usualThreads(processors())
