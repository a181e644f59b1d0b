/**
 * The way that events of one pattern take in a plugin: each has come once, for all subscriptions that follow it, and is handled when all
 * have handled it.
 */
import type { Body } from '../conversation/frames.js'
import { beat } from '../pulse.js'
import type { Conversation } from '../rpc.js'

/** An event as a handler gets it. */
export interface GuestEvent {
  id: string
  type: string
  source: string
  time: string
  data: unknown
}

/** A subscription, as far as a route has to know it. */
export interface Follower {
  /** How many more events it has handled than have been handled by all; its route's alone. */
  ahead: number
  receive(event: GuestEvent): void
}

export class GuestRoute {
  /** The kernel's name for it: the number of its first subscription. */
  readonly number: number
  readonly #conversation: Conversation
  readonly #ended: (route: GuestRoute) => void
  readonly #followers = new Set<Follower>()
  /** The one that follows it, where it is alone. */
  #sole: Follower | undefined
  /** How many have handled nothing that has not been handled by all. */
  #behind = 0
  /** Events that some have not handled. */
  #open = 0
  /** Not told yet. */
  #handled = 0
  #telling = false

  constructor(conversation: Conversation, number: number, ended: (route: GuestRoute) => void) {
    this.#conversation = conversation
    this.number = number
    this.#ended = ended
  }

  /** From now on it gets what comes. */
  add(follower: Follower): void {
    follower.ahead = this.#open
    this.#followers.add(follower)
    if (follower.ahead === 0) this.#behind++
    this.#count()
  }

  /** It has nothing in hand any more, and gets nothing. */
  remove(follower: Follower): void {
    if (!this.#followers.delete(follower)) return
    if (follower.ahead === 0) this.#behind--
    this.#count()
    if (this.#followers.size === 0) {
      if (this.#open > 0) this.#advance(this.#open)
      this.#ended(this)
    } else if (this.#behind === 0) this.#level()
  }

  #count(): void {
    this.#sole = this.#followers.size === 1 ? this.#followers.values().next().value : undefined
  }

  /** Gives each follower an event with data of its own. */
  receive(id: string, type: string, source: string, time: string, body: Body): void {
    this.#open++
    if (this.#sole !== undefined) this.#sole.receive({ id, type, source, time, data: body.open() })
    else for (const follower of this.#followers) follower.receive({ id, type, source, time, data: body.copy() })
  }

  /** A follower has handled so many more, in whatever order. */
  handled(follower: Follower, count: number): void {
    beat()
    if (follower === this.#sole) this.#advance(count)
    else if (follower.ahead > 0) follower.ahead += count
    else {
      follower.ahead = count
      if (--this.#behind === 0) this.#level()
    }
  }

  /** All are ahead of what was handled by all, so that is more. */
  #level(): void {
    let least = Infinity
    for (const { ahead } of this.#followers) if (ahead < least) least = ahead
    for (const follower of this.#followers) if ((follower.ahead -= least) === 0) this.#behind++
    this.#advance(least)
  }

  /** Tells the kernel of handled events once a turn: that frees their places in flight. */
  #advance(count: number): void {
    this.#open -= count
    this.#handled += count
    if (this.#telling) return
    this.#telling = true
    queueMicrotask(this.#tell)
  }

  readonly #tell = (): void => {
    this.#telling = false
    this.#conversation.notify('handled', [this.number, this.#handled])
    this.#handled = 0
  }
}
