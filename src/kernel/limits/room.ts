/** Room in the kernel's memory for what it reads on a plugin's behalf: taken as it is read, and given back when the plugin has it. */
import type { Transferable } from 'node:worker_threads'
import { PlugbayError } from '../../errors.js'
import type { Call } from '../../sandbox/conversation/call.js'
import { HELD, type HeldVerb, SMALL } from '../../sandbox/conversation/held-answer.js'
import { Boxed } from '../../sandbox/conversation/party.js'

/** What one answer takes of it. */
export interface Claim {
  /** Resolves when there is room for so many bytes of it in all. Rejects when the plugin is gone. */
  grow(bytes: number): Promise<void>
  /** It is moved to the plugin, not copied. */
  moves(object: Transferable): void
}

export class Room {
  readonly #verb: HeldVerb
  readonly #most: number
  /** What holds bytes or waits to, in the order in which they asked first. */
  readonly #answers = new Set<Answer>()
  /** Those that are on their way, by number. */
  readonly #sent = new Map<number, Answer>()
  #bytes = 0
  #last = 0
  #closed = false

  /** `most`: bytes at a time, of answers to `verb`; a larger one is held alone. */
  constructor(verb: HeldVerb, most: number) {
    this.#verb = verb
    this.#most = most
  }

  /** What `act` answers to the call. What it claimed for that is held until the plugin has {@link taken} it. */
  async hold(call: Call, act: (claim: Claim) => Promise<unknown>): Promise<unknown> {
    const answer = new Answer((bytes) => this.#grow(answer, bytes))
    try {
      const value = await act(answer)
      // Nobody waits for it any more, and so nobody takes it.
      if (answer.bytes === 0 || call.signal.aborted) this.#leave(answer)
      else this.#sent.set(++this.#last, answer)
      if (answer.bytes === 0) return value
      const { value: body, transfer, metas } = value instanceof Boxed ? value : new Boxed(value, [])
      return new Boxed(body, [...transfer, ...answer.moved], [HELD, this.#verb, this.#last, ...metas])
    } catch (error) {
      this.#leave(answer)
      throw error
    }
  }

  /** The plugin has the answer of that number. False: there is none. */
  taken(number: number): boolean {
    const answer = this.#sent.get(number)
    if (answer === undefined) return false
    this.#sent.delete(number)
    this.#leave(answer)
    return true
  }

  /** Nobody takes anything any more: what waits for room fails. */
  close(): void {
    this.#closed = true
    for (const { waiting } of this.#answers) waiting?.refuse(over())
  }

  #grow(answer: Answer, bytes: number): Promise<void> {
    if (this.#closed) return Promise.reject(over())
    if (bytes <= SMALL) return Promise.resolve()
    this.#answers.add(answer)
    return new Promise((enter, refuse) => {
      answer.waiting = { bytes, enter, refuse }
      this.#admit()
    })
  }

  #leave(answer: Answer): void {
    this.#answers.delete(answer)
    this.#bytes -= answer.bytes
    answer.bytes = 0
    this.#admit()
  }

  /** The oldest may always go on: else all could wait for one another, each with a part of the room. */
  #admit(): void {
    const [oldest] = this.#answers
    for (const answer of this.#answers) {
      const { waiting, bytes } = answer
      if (waiting === undefined) continue
      const sum = this.#bytes - bytes + waiting.bytes
      if (sum > this.#most && answer !== oldest) return
      this.#bytes = sum
      answer.bytes = waiting.bytes
      answer.waiting = undefined
      waiting.enter()
    }
  }
}

class Answer implements Claim {
  readonly grow: Claim['grow']
  readonly moved: Transferable[] = []
  bytes = 0
  waiting: { bytes: number; enter(): void; refuse(error: Error): void } | undefined

  constructor(grow: Claim['grow']) {
    this.grow = grow
  }

  moves(object: Transferable): void {
    this.moved.push(object)
  }
}

const over = (): PlugbayError => new PlugbayError('CHANNEL_CLOSED', 'The plugin that this was read for is gone.')
