/** The wire between a host and its guest, or between two guests: it carries batches and knows nothing of what they say. */
import { MessagePort, receiveMessageOnPort, type Transferable } from 'node:worker_threads'
import { now } from './clock.js'
import { LONGEST, MADE, Stint, UNWATCHED } from './stint.js'

const { isView } = ArrayBuffer

/** Frames laid one after the other; `frames.ts` says how. */
export type Batch = unknown[]

/**
 * A two-way, ordered wire. `send` copies the batch before it returns (a caller may change it afterwards) and throws a
 * DataCloneError for a batch that cannot be copied; on a closed channel it does nothing. `listen` is called once, at the
 * start: nothing arrives before. `closed` is called once, whichever end closed, and no batch comes after it; with a fault when what came
 * was no batch at all.
 */
export interface Channel {
  send(batch: Batch, transfer?: readonly Transferable[]): void
  /** Why what crosses threads cannot be sent here, as a `send` of it would throw; without this method all of it can. */
  refusal?(leaves: readonly unknown[]): Error | undefined
  listen(received: (batch: Batch) => void, closed: (fault?: Error) => void): void
  close(): void
}

/** What came is data, but the platform cannot make it here: nested too deep, most likely. */
export const unreadable = (error: Error): Error => new RangeError(`it cannot be read: ${error.message}`, { cause: error })

/**
 * As the platform has it: a plugin's gate puts one in its place that copies what it is given, and where there is nothing to be copied that
 * is lost time.
 */
const { postMessage } = MessagePort.prototype

/** What is no primitive comes last in a batch. */
const isPlain = (last: unknown): boolean => typeof last !== 'object' || last === null || isView(last)

/** A channel over a MessagePort: between threads, or within one. */
export const portChannel = (port: MessagePort): PortChannel => new PortChannel(port)

export class PortChannel implements Channel {
  readonly #port: MessagePort
  readonly #stint: Stint
  readonly #post: (batch: Batch) => void
  #received: ((batch: Batch) => void) | undefined

  constructor(port: MessagePort) {
    this.#port = port
    this.#post = postMessage.bind(port)
    // Without a listener Node takes nothing more out of the port.
    this.#stint = new Stint(
      () => port.off('message', this.#take),
      () => this.#received && port.on('message', this.#take),
    )
  }

  send(batch: Batch, transfer?: readonly Transferable[]): void {
    if (transfer === undefined && isPlain(batch[batch.length - 1])) this.#post(batch)
    else this.#port.postMessage(batch, transfer)
  }

  listen(received: (batch: Batch) => void, closed: (fault?: Error) => void): void {
    this.#received = received
    this.#port.on('message', this.#take)
    this.#port.on('messageerror', (error) => closed(unreadable(error)))
    this.#port.once('close', () => closed())
  }

  readonly #take = (batch: Batch): void => {
    // What is no batch ends the conversation. What is no primitive comes last.
    const made = typeof batch?.[batch.length - 1] === 'object'
    this.#stint.begin(batch?.length + (made ? UNWATCHED : 0))
    this.#received?.(batch)
    this.#stint.end(made ? MADE : 1)
  }

  /** Takes what has come and was not read yet, in as many turns as that needs, then calls `done`. For a port whose other end is gone. */
  rest(done: () => void): void {
    const began = now()
    while (this.#received !== undefined) {
      const last = this.#next()
      if (last === undefined) break
      this.#received(last.message as Batch)
      if (now() - began < LONGEST) continue
      setImmediate(() => this.rest(done))
      return
    }
    done()
  }

  /** What cannot be read throws, and nobody else would catch it: as when it comes by itself, it ends the wire. */
  #next(): { message: unknown } | undefined {
    try {
      return receiveMessageOnPort(this.#port)
    } catch (error) {
      this.#port.emit('messageerror', error)
      return undefined
    }
  }

  close(): void {
    // What is still in the port is not even read.
    if (this.#received !== undefined) this.#port.off('message', this.#take)
    this.#received = undefined
    this.#port.close()
  }
}

/** Two ends of a channel within this thread. Whatever is no primitive is cloned, as it would be between threads. */
export const channelPair = (): [Channel, Channel] => {
  const ends = [new LocalEnd(), new LocalEnd()] as const
  ends[0].peer = ends[1]
  ends[1].peer = ends[0]
  return [ends[0], ends[1]]
}

class LocalEnd implements Channel {
  peer: LocalEnd | undefined
  #waiting: Batch[] = []
  #received: ((batch: Batch) => void) | undefined
  #closed: (() => void) | undefined

  send(batch: Batch, transfer?: readonly Transferable[]): void {
    const peer = this.peer
    if (peer === undefined) return
    const copy = batch.some((leaf) => typeof leaf === 'object' || typeof leaf === 'function' || typeof leaf === 'symbol')
      ? // @types/node and the global disagree on what is transferable; both mean the same objects.
        structuredClone(batch, transfer ? { transfer: transfer as ArrayBuffer[] } : undefined)
      : batch.slice()
    if (peer.#waiting.push(copy) === 1) queueMicrotask(() => peer.#hand())
  }

  #hand(): void {
    if (this.#received === undefined) return
    const batches = this.#waiting
    this.#waiting = []
    for (const batch of batches) this.#received(batch)
  }

  listen(received: (batch: Batch) => void, closed: () => void): void {
    this.#received = received
    this.#closed = closed
    if (this.#waiting.length > 0) queueMicrotask(() => this.#hand())
  }

  close(): void {
    const peer = this.peer
    if (peer === undefined) return
    this.peer = undefined
    peer.peer = undefined
    queueMicrotask(() => {
      peer.#hand()
      this.#end()
      peer.#end()
    })
  }

  #end(): void {
    this.#received = undefined
    this.#closed?.()
    this.#closed = undefined
  }
}
