/** How many threads of this process can run at once, whatever device computes: as the affinity mask and the quota have it. */
import { processors, usualThreads } from './cpu/processors.ts'

let usual: number | undefined

/** what was found first: finding it reads files, and small tensors ask each */
export const runnableThreads = (): number => (usual ??= usualThreads(processors()))
