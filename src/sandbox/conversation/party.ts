/** What one end of a conversation does with what the other end says. */
import { MessagePort, type Transferable } from 'node:worker_threads'
import type { PlugbayError } from '../../errors.js'
import type { Call } from './call.js'
import { type Body, type Meta, NO_METAS } from './frames.js'

export interface Party {
  /** The plugin that answers here: errors that leave carry it as their origin. */
  readonly plugin?: string | undefined
  /** The plugin at the other end, where this one knows it: what fails there is put down to it, whomever it names. */
  readonly other?: string | undefined
  /** Answers a request: with a value, a promise of one, or by throwing. */
  request(call: Call, body: unknown): unknown
  /**
   * Takes a notice. A PlugbayError that it throws refuses the notice, which ends the conversation with PROTOCOL; all else is a mistake of
   * its own and ends it with INTERNAL. The body is valid during the call only; the number means something if the other end numbered it.
   */
  notice?(verb: string, metas: readonly Meta[], body: Body, number: number): void
  /**
   * Makes the value of a reply that came with metas: one that is more than data. What goes on after the reply ends with the signal of the
   * request.
   */
  unbox?(metas: readonly Meta[], body: unknown, signal: AbortSignal | undefined): unknown
  /** Lets go of such a reply that came when its request was over. */
  dropped?(metas: readonly Meta[], body: unknown): void
  /** Why the conversation is over when the other end closed it. Default: CHANNEL_CLOSED. */
  lost?(): PlugbayError
  /** Called once when the conversation is over: by `close`, by the other end, or for a failure at either end (then with the error). */
  ended?(reason: PlugbayError): void
}

/** A reply that is more than data: it moves objects rather than copies them, or says in metas how its value is to be unboxed. */
export class Boxed {
  readonly value: unknown
  readonly transfer: readonly Transferable[]
  readonly metas: readonly Meta[]

  constructor(value: unknown, transfer: readonly Transferable[], metas: readonly Meta[] = NO_METAS) {
    this.value = value
    this.transfer = transfer
    this.metas = metas
  }

  /** Nobody wants it any more: what lives at its ports ends. */
  drop(): void {
    for (const object of this.transfer) if (object instanceof MessagePort) object.close()
  }
}
