/** Calls that overlap: each gets what it would have got alone, and a disposal in the middle is told. */
import { CudaDevice } from '../../src/devices/cuda/device.ts'
import { Overlapping } from '../../test/engine/overlapping.ts'
import { largest, note } from './findings.ts'

export async function checkOverlap(): Promise<void> {
  const calls = new Overlapping(() => new CudaDevice())
  await calls.prepare()
  const { wrong, left } = await calls.answers()
  note('24 answers at once, some stopped: wrong ones', wrong.length, 0, wrong.join('; '))
  note('and bytes left behind', left, 0)
  const { alone, together, said, answers } = await calls.training()
  note('training beside answers: other losses than alone', largest(alone, together), 0)
  note('answers beside training: other ones than alone', answers.filter((a) => a !== said).length, 0)
  const { saved, amid, torn } = await calls.saves()
  note(`an adapter saved ${saved} times while it trains: read amid a run, or no step's`, amid + torn, 0)
  const codes = (await calls.disposals()).filter((code) => !/^(MODEL|DEVICE)_DISPOSED$/.test(code))
  note('disposals in the middle: other errors', codes.length, 0, codes.join(', '))
  calls.remove()
}
