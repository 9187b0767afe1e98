/** Which pages of a cache are held, and by how many texts; those that nobody holds are handed out again. */

export class PagePool {
  /** of each page, how many texts hold it */
  readonly #holders: number[] = []
  readonly #free: number[] = []

  get size(): number {
    return this.#holders.length
  }

  /** pages that nobody holds */
  get free(): number {
    return this.#free.length
  }

  grow(size: number): void {
    // the lowest is handed out first
    for (let page = size - 1; page >= this.size; page--) this.#free.unshift(page)
    this.#free.sort((a, b) => b - a)
    while (this.#holders.length < size) this.#holders.push(0)
  }

  take(): number {
    const page = this.#free.pop()
    if (page === undefined) throw new Error('no page is free')
    this.#holders[page] = 1
    return page
  }

  shared(page: number): boolean {
    return this.#holders[page]! > 1
  }

  share(page: number): number {
    this.#holders[page]!++
    return page
  }

  giveBack(page: number): void {
    if (--this.#holders[page]! === 0) this.#free.push(page)
  }
}
