/** Whether trained weights are those they were: what was computed with them (keys and values) holds for one version alone. */
import type { ParameterLayout } from '../graph/layout.ts'

const versions = new WeakMap<ParameterLayout, number>()

/** Told before they change: what queues on the device afterwards finds the new ones. */
export function weightsChange(layout: ParameterLayout): void {
  versions.set(layout, versionOf(layout) + 1)
}

export function versionOf(layout: ParameterLayout): number {
  return versions.get(layout) ?? 0
}
