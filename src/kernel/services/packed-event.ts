/** An event on its way between threads: its data stays packed until somebody in this thread wants to see it. */
import { type Envelope, type Event, OpenEvent } from '../../bus/event.js'
import type { EventIds } from '../../event-ids.js'
import { type Packed, pack } from '../../sandbox/values/codec.js'
import { uncloneablePart } from '../../sandbox/values/uncloneable-part.js'
import { notCloneable } from '../../sandbox/values/unsendable.js'

/** Bytes that it takes beside its data, roughly. */
const HEAD = 256

export class PackedEvent implements Envelope {
  readonly serial: number
  readonly type: string
  readonly source: string
  readonly time: string
  readonly packed: Packed
  readonly #ids: EventIds
  #event: Event | undefined

  constructor(ids: EventIds, serial: number, type: string, source: string, time: string, packed: Packed) {
    this.#ids = ids
    this.serial = serial
    this.type = type
    this.source = source
    this.time = time
    this.packed = packed
  }

  get weight(): number {
    return this.packed.size + HEAD
  }

  get id(): string {
    return this.#ids.of(this.serial)
  }

  open(): Event {
    return (this.#event ??= new OpenEvent(this.id, this.type, this.source, this.time, this.packed.open()))
  }
}

let last: Envelope | undefined
let lastPacked: PackedEvent | undefined

/**
 * The event as it is now, whatever its publisher does with the data afterwards. One from this thread is packed once for all its receivers,
 * which come one after the other. `ids` is what gave it its id. Throws PAYLOAD_NOT_CLONEABLE.
 */
export const packedEvent = (envelope: Envelope, ids: EventIds): PackedEvent => {
  if (envelope instanceof PackedEvent) return envelope
  if (envelope !== last || lastPacked === undefined) {
    const { id, type, source, time } = envelope
    let packed: Packed
    try {
      packed = pack(envelope.open().data)
    } catch (error) {
      const path = uncloneablePart(envelope.open().data, 'data')
      throw notCloneable(`The data of '${type}'`, error, { details: { topic: type }, path })
    }
    lastPacked = new PackedEvent(ids, ids.serialOf(id), type, source, time, packed)
    last = envelope
  }
  return lastPacked
}
