/**
 * Async iterables over a port: their consumer asks for items, a few ahead, and their producer holds back what the consumer has no room for.
 */
import type { MessagePort } from 'node:worker_threads'
import { PlugbayError } from '../../errors.js'
import { asBeginning } from '../../sentence.js'
import type { Party } from '../conversation/party.js'
import { Sizes } from '../conversation/sizes.js'
import { Conversation } from '../rpc.js'
import { CALL_LIMIT, WINDOW_BYTES } from '../values/call-window.js'
import { callSize, LEAF_BYTES } from '../values/codec.js'
import { tooLargeForCall } from '../values/unsendable.js'
import { lineChannel } from './line-channel.js'

/** How many items a consumer asks for ahead: enough to keep the line busy, few enough to hold back a fast producer. */
const AHEAD = 16

// ── the producer's end ─────────────────────────────────────────────────────────────────────────────────────────────

/** `plugin`: whose stream it is, if it is a plugin's. */
export const sendStream = (source: AsyncIterable<unknown>, port: MessagePort, plugin: string | undefined): void => {
  const producer = new Producer(source[Symbol.asyncIterator](), plugin)
  new Conversation(lineChannel(port), producer, 'the consumer of a stream', { atOnce: AHEAD })
}

class Producer implements Party {
  readonly plugin: string | undefined
  readonly #iterator: AsyncIterator<unknown>
  /** Of the items that were sent and the consumer has not taken. */
  readonly #untaken = new Sizes()
  #asked = 0
  #turn: Promise<unknown> = Promise.resolve()
  #taken: (() => void) | undefined
  #done = false

  constructor(iterator: AsyncIterator<unknown>, plugin: string | undefined) {
    this.#iterator = iterator
    this.plugin = plugin
  }

  request(): unknown {
    // It asks for one more than it keeps when it has taken one.
    if (++this.#asked > AHEAD) {
      this.#untaken.take(1)
      this.#taken?.()
    }
    return (this.#turn = this.#turn.then(this.#next, this.#next))
  }

  readonly #next = async (): Promise<IteratorResult<unknown, unknown>> => {
    while (this.#untaken.sum >= WINDOW_BYTES && !this.#done) await new Promise<void>((resolve) => (this.#taken = resolve))
    if (this.#done) return { done: true, value: undefined }
    let result: IteratorResult<unknown, unknown>
    try {
      result = await this.#iterator.next()
    } catch (error) {
      this.#done = true
      throw error
    }
    const { done = false, value } = result
    if (done) this.#done = true
    const size = sizeOf(value)
    if (size > CALL_LIMIT) {
      this.ended()
      throw tooLargeForCall(`An item of a stream${this.plugin === undefined ? '' : ` of '${this.plugin}'`} is`, size, CALL_LIMIT)
    }
    this.#untaken.add(size)
    return { done, value }
  }

  ended(): void {
    this.#taken?.()
    if (this.#done) return
    this.#done = true
    // The consumer left early, or cannot be given an item: the producer's finally blocks run; what they throw has no reader left.
    void Promise.resolve(this.#iterator.return?.()).catch(() => {})
  }
}

const sizeOf = (item: unknown): number => {
  if (typeof item === 'string') return item.length
  return (typeof item === 'object' && item !== null) || typeof item === 'bigint' ? callSize(item, CALL_LIMIT) : LEAF_BYTES
}

// ── the consumer's end ─────────────────────────────────────────────────────────────────────────────────────────────

/** Ends the stream that nobody can read any more. */
const unread = new FinalizationRegistry<Consumer>((consumer) => consumer.end())

/** The stream that comes over `port`, from the plugin `other` where that is known. It ends with the signal. */
export const receiveStream = (
  port: MessagePort,
  label: string,
  signal: AbortSignal | undefined,
  other?: string,
): AsyncIterableIterator<unknown> => {
  const consumer = new Consumer(port, label, signal, other)
  const stream: AsyncIterableIterator<unknown> = {
    next() {
      return consumer.next(this)
    },
    async return() {
      return consumer.end()
    },
    [Symbol.asyncIterator]() {
      return this
    },
  }
  unread.register(stream, consumer)
  return stream
}

class Consumer implements Party {
  readonly other: string | undefined
  readonly #label: string
  readonly #signal: AbortSignal | undefined
  readonly #conversation: Conversation
  readonly #asked: Promise<unknown>[] = []
  /** Whoever does not wait for an item before it asks for the next one waits here: no more is asked of the producer for that. */
  #turn: Promise<unknown> = Promise.resolve()
  /** The stream, once for each who waits for an item of it: it is not let go of meanwhile. */
  readonly #waiting: object[] = []
  #cancelled: PlugbayError | undefined
  #over = false

  constructor(port: MessagePort, label: string, signal: AbortSignal | undefined, other: string | undefined) {
    this.#label = label
    this.other = other
    this.#signal = signal
    this.#conversation = new Conversation(lineChannel(port), this, `the stream of ${label}`)
    signal?.addEventListener('abort', this.#cancel, { once: true })
  }

  next(stream: object): Promise<IteratorResult<unknown>> {
    this.#waiting.push(stream)
    const taken = this.#turn.then(this.#take, this.#take)
    this.#turn = taken
    return taken
  }

  readonly #take = async (): Promise<IteratorResult<unknown>> => {
    try {
      if (this.#over) return { done: true, value: undefined }
      // What was asked for ahead may have come before.
      if (this.#cancelled) throw this.#cancelled
      while (this.#asked.length < AHEAD) this.#ask()
      const result = (await this.#asked.shift()) as IteratorResult<unknown>
      return result.done ? this.end() : result
    } catch (error) {
      this.end()
      throw error
    } finally {
      this.#waiting.pop()
    }
  }

  #ask(): void {
    const answer = this.#conversation.request('next')
    // Items asked for ahead fail too when the line ends; the consumer sees the first failure, when it gets there.
    answer.catch(() => {})
    this.#asked.push(answer)
  }

  end(): IteratorResult<unknown> {
    this.#over = true
    this.#conversation.close()
    return { done: true, value: undefined }
  }

  readonly #cancel = (): void => {
    this.#cancelled = new PlugbayError('CALL_CANCELLED', `The stream of ${this.#label} was cancelled by its caller.`, {
      cause: this.#signal?.reason,
    })
    this.#conversation.close(this.#cancelled)
  }

  request(): unknown {
    return undefined
  }

  lost(): PlugbayError {
    return new PlugbayError('SERVICE_GONE', `${asBeginning(this.#label)} is gone, and with it the stream it was sending.`)
  }

  ended(): void {
    this.#signal?.removeEventListener('abort', this.#cancel)
  }
}
