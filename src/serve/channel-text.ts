/**
 * An answer in gpt-oss's channels (OpenAI's harmony format): messages one after the other, each with a head that says its channel and whom it is to. What
 * is final, or a comment to the user, is the answer; what was thought (analysis) is not, as in OpenAI's API; a message to a function is a call.
 */

import { type Call, callOf, jsonOf, type Tools } from './tool-notations.ts'
import type { ReadText } from './tool-text.ts'

const BODY = '<|message|>'
const START = '<|start|>'
/** what ends a message */
const ENDS = ['<|end|>', '<|call|>', '<|return|>', START]
/** an answer goes on from <|start|>assistant: with its channel, or with whom it is to */
const BEGINS = ['<|channel|>', ' to=', '<|start|>assistant', BODY]

export class ChannelText implements ReadText {
  readonly #tools: Tools
  readonly #calls: Call[] = []
  #held = ''
  #state: 'open' | 'head' | 'said' | 'thought' | 'call' | 'plain' = 'open'
  /** function of the call that is being written */
  #name = ''

  constructor(tools: Tools) {
    this.#tools = tools
  }

  push(piece: string): string {
    this.#held += piece
    let text = ''
    for (let more = true; more; ) {
      const [out, goesOn] = this.#step()
      text += out
      more = goesOn
    }
    return text
  }

  end(): { text: string; calls: Call[] } {
    const held = this.#take(this.#held.length)
    return { text: this.#ended(held), calls: this.#calls }
  }

  /** Text of what is held at the end: a head that was cut off is none, nor are thoughts. */
  #ended(held: string): string {
    if (this.#state === 'head') return strayOf(held)
    return this.#state === 'open' || this.#state === 'plain' ? held : this.#read(held)
  }

  /** text that is sure now, and whether there may be more in what is held */
  #step(): [text: string, more: boolean] {
    if (this.#state === 'plain') return [this.#take(this.#held.length), false]
    if (this.#state === 'open') {
      const begun = this.#held
      if (BEGINS.some((one) => begun.startsWith(one))) this.#state = 'head'
      else if (!BEGINS.some((one) => one.startsWith(begun))) this.#state = 'plain'
      return ['', this.#state !== 'open']
    }
    if (this.#state === 'head') {
      const at = this.#held.indexOf(BODY)
      if (at === -1) return ['', false]
      const stray = this.#begin(this.#take(at))
      this.#take(BODY.length)
      return [stray, true]
    }
    const found = ENDS.map((end) => [this.#held.indexOf(end), end] as const).filter(([at]) => at !== -1)
    const [at, end] = found.sort(([a], [b]) => a - b)[0] ?? []
    if (at === undefined) {
      if (this.#state === 'call') return ['', false]
      return [this.#said(this.#take(this.#held.length - begunOf(this.#held))), false]
    }
    const text = this.#read(this.#take(at))
    // a start belongs to the head that follows
    if (end !== START) this.#take(end!.length)
    this.#state = 'head'
    return [text, true]
  }

  /** @returns text before the head, which belongs to no message */
  #begin(head: string): string {
    const [, to] = /\bto=functions\.([\w.-]+)/.exec(head) ?? []
    const [, channel = 'final'] = /<\|channel\|>\s*(\w+)/.exec(head) ?? []
    this.#name = to ?? ''
    this.#state = to !== undefined && this.#tools.size > 0 ? 'call' : channel === 'analysis' ? 'thought' : 'said'
    return strayOf(head)
  }

  /** Text of a message's body. A call has none; one that can't be read is text. */
  #read(body: string): string {
    if (this.#state !== 'call') return this.#said(body)
    const call = callOf({ name: this.#name, arguments: body.trim() === '' ? {} : jsonOf(body) }, 'arguments')
    if (call) this.#calls.push(call)
    return call ? '' : body
  }

  #said(text: string): string {
    return this.#state === 'said' ? text : ''
  }

  #take(length: number): string {
    const text = this.#held.slice(0, length)
    this.#held = this.#held.slice(length)
    return text
  }
}

/** What stands before a head: text, but for white space and the role, which a model may write without its start. */
function strayOf(head: string): string {
  const [before = ''] = head.split(/<\||\bto=/, 1)
  return /^\s*(assistant\s*)?$/.test(before) ? '' : before
}

/** characters at a text's end that may be the beginning of an end */
function begunOf(text: string): number {
  let most = Math.min(text.length, Math.max(...ENDS.map(({ length }) => length)) - 1)
  while (most > 0 && !ENDS.some((end) => end.startsWith(text.slice(-most)))) most--
  return most
}
