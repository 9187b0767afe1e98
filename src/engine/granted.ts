/**
 * A budget whose memory the device gives. How much of the host's may be pinned is known only by asking: WSL allows a gigabyte or two whatever is free.
 * What was refused once is not planned with again.
 */
import type { Device } from '../devices/device.ts'
import { SaqrError } from '../error.ts'
import { type Budget, type BudgetRequest, movePlaces, planBudget } from './budget.ts'

/**
 * Plans, and reserves what was planned.
 * @param move how store tensors go where the budget has them
 * @throws SaqrError MEMORY_BUDGET; MEMORY_REFUSED, which names what was refused
 */
export function grantedBudget(
  device: Device,
  request: BudgetRequest,
  move: (budget: Budget) => void = (b) => movePlaces(device, b),
): Budget {
  for (let before = Number.POSITIVE_INFINITY; ; ) {
    const budget = planBudget(device, request)
    try {
      move(budget)
      device.reserve(budget.full.arena, budget.full.host)
      return budget
    } catch (error) {
      const refused = error instanceof SaqrError && error.code === 'MEMORY_REFUSED'
      if (!refused || budget.host === 0 || budget.host >= before || (device.describe().hostMemory ?? 0) >= budget.host) throw error
      before = budget.host
    }
  }
}
