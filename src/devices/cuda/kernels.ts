/** Compiled modules on the card and the functions in them. */
import type { CudaSource } from '../../ops/cuda-launch.ts'
import type { Card } from './card.ts'
import { type Compiler, readSource, targetOf } from './compiler.ts'

const MAX_DYNAMIC_SHARED = 8

export class Kernels {
  readonly #card: Card
  readonly #compiler: Compiler
  readonly #modules = new Map<string, Promise<bigint>>()
  readonly #loaded = new Map<string, bigint>()
  readonly #functions = new Map<string, { handle: bigint; shared: number }>()

  constructor(card: Card, compiler: Compiler) {
    this.#card = card
    this.#compiler = compiler
  }

  /** Compiles and loads what isn't there yet, side by side. */
  async ready(sources: Iterable<CudaSource>): Promise<void> {
    await Promise.all([...sources].map((source) => this.#module(source)))
  }

  #module(source: CudaSource): Promise<bigint> {
    let module = this.#modules.get(source.name)
    if (!module) {
      module = this.#compiler.cubin(readSource(source), targetOf(this.#card.arch)).then((code) => {
        const handle = this.#card.driver.result('moduleLoad', code)
        this.#loaded.set(source.name, handle)
        return handle
      })
      this.#modules.set(source.name, module)
    }
    return module
  }

  /** handle of a kernel whose source is `ready`; `shared`: bytes of dynamic shared memory it is about to be launched with */
  get(source: CudaSource, name: string, shared: number): bigint {
    let f = this.#functions.get(name)
    if (!f) {
      const handle = this.#card.driver.result('moduleFunction', this.#loaded.get(source.name)!, name)
      this.#functions.set(name, (f = { handle, shared: 0 }))
    }
    // beyond 48 KiB it has to be asked for, and of those the kernel's own static bytes are a part
    if (shared > f.shared) {
      this.#card.driver.call('functionAttribute', f.handle, MAX_DYNAMIC_SHARED, shared)
      f.shared = shared
    }
    return f.handle
  }

  dispose(): void {
    for (const module of this.#loaded.values()) this.#card.driver.raw.moduleUnload(module)
  }
}
