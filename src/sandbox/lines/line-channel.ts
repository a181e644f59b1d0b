/**
 * The wire of a line between two places. Its receiver measures what comes: who sent it weighed it in a realm of its own, and may have been
 * lied to there.
 */
import type { MessagePort, Transferable } from 'node:worker_threads'
import { type Batch, type Channel, portChannel } from '../channel.js'
import { CALL_LIMIT } from '../values/call-window.js'
import { cloneSize, OF_WHAT_CAME } from '../values/clone-size.js'
import { LEAF_BYTES } from '../values/codec.js'

/** What a message may have beside one body: a batch of small ones, and what is said of each. */
const BESIDE = 2 * 1_024 * 1_024
/** What one message may weigh where it arrives: nothing that an honest end sends does. */
const MESSAGE_LIMIT = CALL_LIMIT + BESIDE

/** Whether a message weighs more than any that an honest end sends. */
export const isTooLarge = (message: unknown): boolean => cloneSize(message, MESSAGE_LIMIT, [], OF_WHAT_CAME) > MESSAGE_LIMIT

/** The same of a batch, in which most are numbers and short texts: it costs a fraction of what it took to read it. */
const isTooLargeBatch = (batch: Batch): boolean => {
  let size = batch.length * LEAF_BYTES
  for (let i = 0; i < batch.length; i++) {
    const leaf = batch[i]
    if (typeof leaf === 'string') size += leaf.length
    else if (typeof leaf === 'object' || typeof leaf === 'bigint') size += cloneSize(leaf, MESSAGE_LIMIT, [], OF_WHAT_CAME)
  }
  return size > MESSAGE_LIMIT
}

/** A channel over a port to a place that is not believed: a batch that is too large ends it, as one that is none does. */
export const lineChannel = (port: MessagePort): Channel => new LineChannel(portChannel(port))

class LineChannel implements Channel {
  readonly #channel: Channel

  constructor(channel: Channel) {
    this.#channel = channel
  }

  send(batch: Batch, transfer?: readonly Transferable[]): void {
    this.#channel.send(batch, transfer)
  }

  listen(received: (batch: Batch) => void, closed: (fault?: Error) => void): void {
    this.#channel.listen((batch) => {
      if (Array.isArray(batch) && isTooLargeBatch(batch))
        closed(new RangeError(`it weighs more than the ${MESSAGE_LIMIT} bytes that one may`))
      else received(batch)
    }, closed)
  }

  close(): void {
    this.#channel.close()
  }
}
