/** How a machine is doing while it trains, by the names that W&B's charts know. */
import { availableParallelism, freemem, totalmem } from 'node:os'
import { type CardLoad, loadsOf } from '../devices/cuda/nvml.ts'

const MB = 1024 * 1024

/** @param cards are there cards to ask about? */
export function systemMetrics(cards: boolean): () => Record<string, number> {
  let [used, at] = [process.cpuUsage(), performance.now()]
  const loads = cards ? loadsOf() : () => []
  return () => {
    const [before, then] = [used, at]
    ;[used, at] = [process.cpuUsage(), performance.now()]
    const busy = (used.user + used.system - before.user - before.system) / 1000 / Math.max(1, at - then)
    const rss = process.memoryUsage.rss()
    const metrics = {
      cpu: (100 * busy) / availableParallelism(),
      memory_percent: 100 * (1 - freemem() / totalmem()),
      'proc.memory.rssMB': rss / MB,
      'proc.memory.percent': (100 * rss) / totalmem(),
      'proc.memory.availableMB': process.availableMemory() / MB,
    }
    return Object.assign(metrics, ...loads().map((card, i) => ofCard(i, card)))
  }
}

const ofCard = (i: number, { busy, copying, used, total, celsius, watts }: CardLoad) => ({
  [`gpu.${i}.gpu`]: busy,
  [`gpu.${i}.memory`]: copying,
  [`gpu.${i}.memoryAllocated`]: (100 * used) / total,
  [`gpu.${i}.memoryAllocatedBytes`]: used,
  [`gpu.${i}.temp`]: celsius,
  [`gpu.${i}.powerWatts`]: watts,
})
