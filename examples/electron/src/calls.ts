/** Calls to the trainer, as the main process makes them. */
import type { Asked, Calls, Name, Told } from './messages.ts'

/** The trainer's process: Electron's utilityProcess has this form. */
export interface Child {
  postMessage(message: unknown): void
  on(event: 'message', hear: (told: Told) => void): unknown
  on(event: 'exit', hear: (code: number) => void): unknown
}
interface Waiting {
  piece: (piece: unknown) => void
  resolve: (result: unknown) => void
  reject: (error: Error) => void
}

export class Trainer {
  readonly #start: () => Child
  #child: Child | undefined
  #last = 0
  readonly #waiting = new Map<number, Waiting>()

  /** @param start starts the process: at the first call, and at the next one after it has ended */
  constructor(start: () => Child) {
    this.#start = start
  }

  /** @param hear is told each piece */
  call<N extends Name>(call: N, given: Calls[N]['given'], hear: (piece: Calls[N]['piece']) => void): Promise<Calls[N]['result']> {
    this.#child ??= this.#started()
    const id = ++this.#last
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { piece: hear as Waiting['piece'], resolve: resolve as Waiting['resolve'], reject })
      this.#child!.postMessage({ id, call, ...given } as unknown as Asked)
    })
  }

  #started(): Child {
    const child = this.#start()
    child.on('message', (told) => {
      const one = this.#waiting.get(told.id)
      if (told.type === 'piece') return one?.piece(told.piece)
      this.#waiting.delete(told.id)
      if (told.type === 'done') one?.resolve(told.result)
      else one?.reject(new Error(told.message))
    })
    child.on('exit', (code) => {
      this.#child = undefined
      for (const { reject } of this.#waiting.values()) reject(new Error(`the process that trains has ended (${code})`))
      this.#waiting.clear()
    })
    return child
  }
}
