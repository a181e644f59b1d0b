/** An event, an event on its way, and the stamp that gives ids and times. */
import { EventIds } from '../event-ids.js'

/** What is known of an event without opening it. */
export interface EventHead {
  /** The topic. */
  readonly type: string
  readonly id: string
  /** Who published it: set by the kernel, never by the publisher. */
  readonly source: string
  /** ISO-8601, UTC, to the millisecond. */
  readonly time: string
}

/** One event, with the attribute names of CloudEvents (https://cloudevents.io). */
// biome-ignore lint/suspicious/noExplicitAny: the data of an unregistered topic is whatever its publisher sent
export interface Event<T = any, Type extends string = string> extends EventHead {
  readonly type: Type
  readonly data: T
}

/**
 * An event on its way. The bus routes by the head alone; `open()` gives the event with its data. An envelope that came
 * packed from another thread decodes when it is opened, once; an {@link OpenEvent} is its own envelope.
 */
export interface Envelope extends EventHead {
  /** Bytes that it holds of this thread's memory until everybody has it, beside what its publisher holds anyway. */
  readonly weight: number
  open(): Event
}

/**
 * An event of this thread. Its own properties are exactly those of an {@link Event}, so it spreads, compares and serialises as the plain
 * object that it looks like.
 */
// biome-ignore lint/suspicious/noExplicitAny: as above
export class OpenEvent<T = any, Type extends string = string> implements Event<T, Type>, Envelope {
  // Only declared: a field definition would write each property twice on the hottest path there is.
  declare readonly id: string
  declare readonly type: Type
  declare readonly source: string
  declare readonly time: string
  declare readonly data: T

  constructor(id: string, type: Type, source: string, time: string, data: T) {
    this.id = id
    this.type = type
    this.source = source
    this.time = time
    this.data = data
  }

  get weight(): number {
    return 0
  }

  open(): this {
    return this
  }
}

/** Eleven base-36 digits of randomness: about 57 bits, so that two boots do not share a prefix. */
const bootPrefix = (): string =>
  Array.from(globalThis.crypto.getRandomValues(new Uint32Array(2)), (n) => n.toString(36))
    .join('')
    .padStart(11, '0')
    .slice(0, 11)

const TIMED_ALIKE = 64
const SOON = Promise.resolve()

/** Gives events their id and time. Ids of one stamp count upwards; ids of two stamps differ by a random prefix. */
export class Stamp {
  readonly ids: EventIds
  #serial = 0
  #millisecond = -1
  #text = ''
  /** How many more may have the same time. */
  #alike = 0
  #expiring = false

  constructor(prefix: string = bootPrefix()) {
    this.ids = new EventIds(prefix)
  }

  /** The serial of a new id. */
  serial(): number {
    return this.#serial++
  }

  /** A new id. */
  id(): string {
    return this.ids.of(this.#serial++)
  }

  /**
   * The present time as text. What one run of JavaScript asks for in a row has one time, up to {@link TIMED_ALIKE} of it: reading the clock
   * costs as much as publishing.
   */
  time(): string {
    if (this.#alike > 0) {
      this.#alike--
      return this.#text
    }
    this.#alike = TIMED_ALIKE - 1
    if (!this.#expiring) {
      this.#expiring = true
      void SOON.then(this.#expire)
    }
    const now = Date.now()
    if (now !== this.#millisecond) {
      this.#millisecond = now
      this.#text = new Date(now).toISOString()
    }
    return this.#text
  }

  readonly #expire = (): void => {
    this.#expiring = false
    this.#alike = 0
  }
}
