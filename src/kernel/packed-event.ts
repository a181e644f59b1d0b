/** An event on its way between threads: its data stays packed until somebody in this thread wants to see it. */
import { type Envelope, Event } from '../bus/event.js'
import { type Packed, pack } from '../sandbox/codec.js'
import { notCloneable } from '../sandbox/unsendable.js'

export class PackedEvent implements Envelope {
  readonly id: string
  readonly type: string
  readonly source: string
  readonly time: string
  readonly packed: Packed
  #event: Event | undefined

  constructor(id: string, type: string, source: string, time: string, packed: Packed) {
    this.id = id
    this.type = type
    this.source = source
    this.time = time
    this.packed = packed
  }

  open(): Event {
    return (this.#event ??= new Event(this.id, this.type, this.source, this.time, this.packed.open()))
  }
}

let lastOpen: Envelope | undefined
let lastPacked: Packed | undefined

/** The data of an event as it crosses to a plugin. An event from this thread is packed once for all its receivers, which come one after the other. Throws PAYLOAD_NOT_CLONEABLE. */
export const packedDataOf = (envelope: Envelope): Packed => {
  if (envelope instanceof PackedEvent) return envelope.packed
  if (envelope !== lastOpen || lastPacked === undefined) {
    try {
      lastPacked = pack(envelope.open().data)
    } catch (error) {
      throw notCloneable(`The data of '${envelope.type}'`, error, { details: { topic: envelope.type } })
    }
    lastOpen = envelope
  }
  return lastPacked
}

/** The event as it is now, whatever its publisher does with the data afterwards. */
export const packedEvent = (envelope: Envelope): PackedEvent =>
  envelope instanceof PackedEvent
    ? envelope
    : new PackedEvent(envelope.id, envelope.type, envelope.source, envelope.time, packedDataOf(envelope))
