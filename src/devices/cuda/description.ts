/** What planning knows of a card. */
import { cudaOps } from '../../ops/generated/cuda.ts'
import type { DeviceDescription } from '../device.ts'
import type { Card } from './card.ts'
import { versionName } from './driver.ts'
import { WORKSPACE } from './matmul.ts'
import { scratchOf } from './plan.ts'

/** a pass that reads all weights for one text reads them for so many as fast */
const GENERATION_ROWS = 16
/** a pass of so many tokens fills the card */
const PASS_TOKENS = 16384
/** as bench:cuda saw it on an H100: by op, milliseconds beside what FLOPs and bytes take at the limits (bench/results/cuda-h100.jsonl; of groups on an H100 and an H200, cuda-h100-7.jsonl, cuda-h200-4.jsonl) */
const REACH = { compute: 0.83, pairs: 0.54, groups: 0.52, pairsLaunch: 80e-6, copy: 0.9, launch: 5e-6 }
/** the driver's context where nobody says how large it is: an H200's, bytes (bench/results/overhead-h200.txt) */
const CONTEXT = 520 << 20
/** what else the driver took in the same runs, about; the graphs of passes that come in many sizes, and branches in them, take up to 80 MiB more */
const BESIDE = { 'kernels and streams': 24 << 20, 'captured graphs': 16 << 20, 'weights rounded up to pages': 28 << 20 }
/** of the host's free memory, what may be pinned: others use the machine too */
const HOST_SHARE = 0.5

/**
 * @param nvrtc version of the compiler
 * @param held bytes of the host's memory that the device has pinned
 */
export function describeCard(card: Card, nvrtc: string, held: number): DeviceDescription {
  const { name, ordinal, arch, multiprocessors, driverVersion, integrated, pinnable } = card
  return {
    kind: 'cuda',
    label: `${name}, ${multiprocessors} multiprocessors, sm_${arch}, driver for CUDA ${versionName(driverVersion)}, NVRTC ${nvrtc}`,
    threads: 1,
    tokenQuantum: 128,
    passTokens: PASS_TOKENS,
    reach: REACH,
    overhead: [
      { kind: 'the driver’s context', bytes: card.contextBytes ?? CONTEXT },
      { kind: 'cuBLASLt’s workspace', bytes: WORKSPACE },
      ...Object.entries(BESIDE).map(([kind, bytes]) => ({ kind, bytes })),
    ],
    memory: card.capacity,
    place: `card ${ordinal}`,
    // what a card that shares the host's memory sent there would still lie in the same memory
    hostMemory: integrated ? 0 : Math.floor(Math.min(HOST_SHARE * (process.availableMemory() + held), held + pinnable)),
    keepsDense: true,
    generationRows: GENERATION_ROWS,
    copiesAdapters: true,
    overlaps: true,
    queues: true,
    has: (op) => Object.hasOwn(cudaOps, op),
    scratch: (node) => scratchOf(node, card),
  }
}
