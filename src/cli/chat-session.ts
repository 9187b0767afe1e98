/** What a line typed in `saqr chat` does: a message, or a command that begins with a slash. */
import { appendFileSync } from 'node:fs'
import { asPrograms, option, SaqrError, type Spelling, say } from '../error.ts'
import type { Chat } from '../generate/chat.ts'
import { nearest } from '../hub/nearest.ts'
import type { TextOutput } from '../track/tracker.ts'

interface Command {
  takes?: string
  /** undefined: another name of a command that the list has */
  help?: string
  run(session: ChatSession, rest: string): void
}

const leave: Command = { run: (session) => session.leave() }

const COMMANDS: Readonly<Record<string, Command>> = {
  system: {
    takes: '[TEXT]',
    help: 'set the system message, or show it; /system - takes it away',
    run: ({ chat, note }, rest) => {
      if (rest !== '') chat.system = rest === '-' ? null : rest
      note(chat.system === null ? 'no system message' : `system: ${chat.system}`)
    },
  },
  reset: {
    help: 'forget what was said; the system message stays',
    run: ({ chat, note }) => {
      chat.reset()
      note('the conversation begins anew')
    },
  },
  base: {
    help: 'let the base answer without the adapter; once more, the adapter again',
    run: ({ chat, note }) => {
      chat.adapter = !chat.adapter
      note(chat.adapter ? 'the adapter answers' : 'the base answers')
    },
  },
  save: {
    takes: 'FILE',
    help: 'add the conversation to a JSONL file, a row of messages as saqr sft trains on',
    run: ({ chat, note }, file) => {
      if (file === '') throw new SaqrError('OPTION_INVALID', '/save needs the name of a file')
      if (chat.messages.every(({ role }) => role === 'system')) throw new SaqrError('OPTION_INVALID', 'nothing was said yet')
      try {
        appendFileSync(file, `${JSON.stringify({ messages: chat.messages })}\n`)
      } catch (cause) {
        throw new SaqrError('FORMAT_FILE', `${file} can't be written: ${(cause as Error).message}`, { cause })
      }
      note(`added to ${file}`)
    },
  },
  exit: { ...leave, help: 'leave, as /quit, /bye and Ctrl-D do' },
  // as in llama.cpp and Ollama
  quit: leave,
  bye: leave,
  help: {
    help: 'this list',
    run: ({ note }) => {
      for (const [name, { takes = '', help }] of Object.entries(COMMANDS))
        if (help !== undefined) note(`${`/${name} ${takes}`.padEnd(16)}${help}`)
      note('Ctrl-C stops an answer, Ctrl-D leaves')
    },
  },
}

export class ChatSession {
  readonly chat: Chat
  readonly #out: TextOutput
  readonly #err: TextOutput
  readonly #spelling: Spelling
  #answering: AbortController | undefined
  #left = false

  constructor(chat: Chat, out: TextOutput, err: TextOutput, spelling: Spelling = asPrograms) {
    this.chat = chat
    this.#out = out
    this.#err = err
    this.#spelling = spelling
  }

  /** A line about the conversation, which is no part of it. */
  readonly note = (text: string): void => this.#err.write(this.#err.color ? `\x1b[2m${text}\x1b[22m\n` : `${text}\n`)

  /** @returns false where it was an error that the conversation goes on after */
  async line(text: string): Promise<boolean> {
    try {
      if (text.startsWith('/')) this.#command(text)
      else if (text.trim() !== '') await this.#send(text)
      return true
    } catch (error) {
      if (!(error instanceof SaqrError)) throw error
      error.respell(this.#spelling)
      const hint = error.code === 'TEXT_TOO_LONG' || error.code === 'MEMORY_REFUSED' ? ' (/reset begins anew)' : ''
      this.#err.write(`error ${error.code}: ${error.message}${hint}\n`)
      return false
    }
  }

  /** no line is to come */
  leave(): void {
    this.#left = true
  }

  get left(): boolean {
    return this.#left
  }

  /** @returns whether there was an answer to stop */
  stop(): boolean {
    this.#answering?.abort()
    return this.#answering !== undefined
  }

  #command(text: string): void {
    const [, name = '', rest = ''] = /^\/(\S*)\s*(.*)$/s.exec(text)!
    const command = Object.hasOwn(COMMANDS, name) ? COMMANDS[name]! : undefined
    if (command === undefined) {
      const close = nearest(name, Object.keys(COMMANDS))
      throw new SaqrError(
        'OPTION_UNKNOWN',
        `there is no command /${name}${close ? `: did you mean /${close}?` : '; /help lists them'} (a message that begins with a slash is sent with a space before it)`,
      )
    }
    command.run(this, rest.trim())
  }

  async #send(message: string): Promise<void> {
    const answering = new AbortController()
    this.#answering = answering
    try {
      const answer = this.chat.send(message, answering.signal)
      let next = await answer.next()
      for (; !next.done; next = await answer.next()) this.#out.write(next.value)
      this.#out.write('\n')
      if (next.value === 'length') this.note(this.#cut())
    } catch (error) {
      this.#out.write('\n')
      if (!answering.signal.aborted) throw error
      this.note('stopped')
    } finally {
      this.#answering = undefined
    }
  }

  #cut(): string {
    return say`cut where ${option('maxNewTokens')} ends`.spelled(this.#spelling)
  }
}
