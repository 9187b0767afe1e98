/** What `auto` opens and what doctor says on machines with other drivers and cards.  node fake-machine.ts '[{ "FAKE_ARCHS": "90" }, …]' */
import { doctor } from '../../src/cli/verbs/doctor.ts'
import { openDevice } from '../../src/devices/open.ts'
import { commandLine } from '../cli/saqr.ts'

export interface Machine {
  FAKE_ARCHS?: string
  FAKE_INIT?: string
  FAKE_RETAIN?: string
  CUDA_VISIBLE_DEVICES?: string
}

export interface Seen {
  /** the kind of device, or the error's code */
  auto: string
  doctor: { code: number; out: string }
}

const NAMES = ['FAKE_ARCHS', 'FAKE_INIT', 'FAKE_RETAIN', 'CUDA_VISIBLE_DEVICES'] as const

async function auto(): Promise<string> {
  try {
    const device = await openDevice('auto')
    const { kind } = device.describe()
    device.dispose()
    return kind
  } catch (error) {
    return (error as { code: string }).code
  }
}

const seen: Seen[] = []
for (const machine of JSON.parse(process.argv[2]!) as Machine[]) {
  for (const name of NAMES) {
    const value = machine[name]
    if (value === undefined) delete process.env[name]
    else process.env[name] = value
  }
  const { code, out } = await commandLine({ doctor })('doctor', '--no_probe')
  seen.push({ auto: await auto(), doctor: { code, out } })
}
console.log(JSON.stringify(seen))
