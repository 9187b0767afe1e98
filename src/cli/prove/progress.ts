/** A step of a side, on the terminal. */
import type { Io } from '../verb.ts'

export function progress(io: Io, side: string, step: number, steps: number, loss: number): void {
  const line = `${side.padEnd(4)} step ${String(step).padStart(String(steps).length)}/${steps}  loss ${loss.toFixed(4)}`
  io.out.write(io.out.isTTY && step < steps ? `\r${line}` : `${io.out.isTTY ? '\r' : ''}${line}\n`)
}
