/** What NVIDIA's management library says of a card: memory by process, clocks, heat, power. nvidia-smi prints the same. */
import { ffi, type Library } from '../ffi.ts'
import { driverLibrary } from './libraries.ts'

const FUNCTIONS = {
  init: 'int nvmlInit_v2()',
  shutdown: 'int nvmlShutdown()',
  driver: 'int nvmlSystemGetDriverVersion(void* text, unsigned int length)',
  count: 'int nvmlDeviceGetCount_v2(void* count)',
  handle: 'int nvmlDeviceGetHandleByIndex_v2(unsigned int index, void* device)',
  handleOfUuid: 'int nvmlDeviceGetHandleByUUID(const char* uuid, void* device)',
  name: 'int nvmlDeviceGetName(uint64_t device, void* text, unsigned int length)',
  memory: 'int nvmlDeviceGetMemoryInfo(uint64_t device, void* info)',
  clock: 'int nvmlDeviceGetClockInfo(uint64_t device, int type, void* mhz)',
  temperature: 'int nvmlDeviceGetTemperature(uint64_t device, int sensor, void* degrees)',
  utilization: 'int nvmlDeviceGetUtilizationRates(uint64_t device, void* percents)',
  power: 'int nvmlDeviceGetPowerUsage(uint64_t device, void* milliwatts)',
  processes: 'int nvmlDeviceGetComputeRunningProcesses_v3(uint64_t device, void* count, void* infos)',
} as const

const LIBRARIES = driverLibrary('libnvidia-ml.so.1', 'nvml.dll')
const SM = 1
const MEMORY = 2
/** nvmlProcessInfo_t: pid, bytes, two instance numbers */
const PROCESS = 24
const MOST_PROCESSES = 64

export interface CardState {
  smMHz: number
  memoryMHz: number
  celsius: number
  watts: number
}

/** of a whole card, whoever uses it */
export interface CardLoad {
  /** percent of the time in which a kernel ran, and in which memory was copied */
  busy: number
  copying: number
  /** bytes */
  used: number
  total: number
  celsius: number
  watts: number
}

export class Nvml {
  readonly name: string
  readonly driver: string
  readonly total: number
  readonly #f: Record<keyof typeof FUNCTIONS, (...args: unknown[]) => unknown>
  readonly #device: bigint

  /** @param which its number among all cards of the machine, or the UUID that nvidia-smi -L prints */
  constructor(which: number | string = 0) {
    const library = open()
    this.#f = Object.fromEntries(Object.entries(FUNCTIONS).map(([key, signature]) => [key, library.func(signature)])) as never
    this.#call('init')
    const device = new BigUint64Array(1)
    if (typeof which === 'number') this.#call('handle', which, device)
    else this.#call('handleOfUuid', which, device)
    this.#device = device[0]!
    this.driver = this.#text((text) => this.#call('driver', text, text.length))
    this.name = this.#text((text) => this.#call('name', this.#device, text, text.length))
    this.total = this.memory().total
  }

  #call(name: keyof typeof FUNCTIONS, ...args: unknown[]): void {
    const status = this.#f[name](...args)
    if (status !== 0) throw new Error(`${FUNCTIONS[name].split(/[ (]/)[1]}: error ${status}`)
  }

  #text(fill: (text: Uint8Array) => void): string {
    const text = new Uint8Array(96)
    fill(text)
    return new TextDecoder().decode(text.subarray(0, text.indexOf(0)))
  }

  #int(name: keyof typeof FUNCTIONS, ...args: unknown[]): number {
    const out = new Uint32Array(1)
    this.#call(name, this.#device, ...args, out)
    return out[0]!
  }

  /** of the whole card, bytes */
  memory(): { total: number; free: number; used: number } {
    const out = new BigUint64Array(3)
    this.#call('memory', this.#device, out)
    return { total: Number(out[0]), free: Number(out[1]), used: Number(out[2]) }
  }

  /** bytes that a process has on the card, its context among them; 0 where it has none */
  ofProcess(pid: number): number {
    const count = Uint32Array.of(MOST_PROCESSES)
    const infos = new DataView(new ArrayBuffer(PROCESS * MOST_PROCESSES))
    this.#call('processes', this.#device, count, new Uint8Array(infos.buffer))
    for (let i = 0; i < count[0]!; i++)
      if (infos.getUint32(PROCESS * i, true) === pid) return Number(infos.getBigUint64(PROCESS * i + 8, true))
    return 0
  }

  state(): CardState {
    return {
      smMHz: this.#int('clock', SM),
      memoryMHz: this.#int('clock', MEMORY),
      celsius: this.#int('temperature', 0),
      watts: this.#int('power') / 1000,
    }
  }

  load(): CardLoad {
    const percents = new Uint32Array(2)
    this.#call('utilization', this.#device, percents)
    const { total, used } = this.memory()
    const { celsius, watts } = this.state()
    return { busy: percents[0]!, copying: percents[1]!, used, total, celsius, watts }
  }

  /** cards of the machine */
  count(): number {
    const out = new Uint32Array(1)
    this.#call('count', out)
    return out[0]!
  }

  close(): void {
    this.#call('shutdown')
  }
}

/** A card, or a part of one, by the UUID that CUDA gives it: their numbers are others' here. @throws Error where the library or the card isn't there */
export function nvmlOf(uuid: string): Nvml {
  try {
    return new Nvml(`GPU-${uuid}`)
  } catch {
    return new Nvml(`MIG-${uuid}`)
  }
}

/** Loads of all cards, as often as they are asked for; none where the library doesn't say. */
export function loadsOf(): () => CardLoad[] {
  try {
    const first = new Nvml()
    const cards = Array.from({ length: first.count() }, (_, i) => (i === 0 ? first : new Nvml(i)))
    return () => {
      try {
        return cards.map((card) => card.load())
      } catch {
        return [] // a card that is lost
      }
    }
  } catch {
    return () => []
  }
}

function open(): Library {
  for (const path of LIBRARIES) {
    try {
      return ffi().load(path)
    } catch {
      // the next one
    }
  }
  throw new Error(`${LIBRARIES[0]} can't be loaded: it comes with NVIDIA's driver`)
}
