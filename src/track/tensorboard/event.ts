/** Events of TensorBoard's files (tensorboard/compat/proto: event.proto, summary.proto, tensor.proto). */
import { bytes, double, float, int, message, type ProtoField } from '../../formats/protobuf.ts'

/** @param time seconds since 1970 */
function event(time: number, step: number, what: ProtoField): Uint8Array {
  return message(double(1, time), step === 0 ? null : int(2, step), what)
}

/** what a file begins with */
export const version = (time: number) => event(time, 0, bytes(3, 'brain.Event:2'))

/** A run that goes on here: what an earlier file has of this step and later is another past, and not shown. */
export const goesOn = (time: number, step: number) => event(time, step, bytes(7, int(1, START)))

/** numbers of one step; TensorBoard keeps them in f32 */
export function scalars(time: number, step: number, values: Readonly<Record<string, number>>): Uint8Array {
  const entries = Object.entries(values).map(([name, value]) => bytes(1, message(bytes(1, name), float(2, value))))
  return event(time, step, bytes(5, message(...entries)))
}

/** A text, which is shown as Markdown. */
export function text(time: number, step: number, name: string, content: string): Uint8Array {
  const plugin = bytes(9, bytes(1, message(bytes(1, 'text'))))
  const shape = bytes(2, bytes(2, int(1, 1)))
  const tensor = bytes(8, message(int(1, DT_STRING), shape, bytes(8, content)))
  return event(time, step, bytes(5, bytes(1, message(bytes(1, `${name}/text_summary`), tensor, plugin))))
}

/** SessionLog.SessionStatus */
const START = 1
const DT_STRING = 7
