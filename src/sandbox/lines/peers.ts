/** What this place has under way with each other one, over all the lines between the two: who opens more lines has no more of it. */
import { CallWindow } from '../values/call-window.js'

export class Peer {
  /** Calls of its services. */
  readonly calls = new CallWindow()
  /** Calls of what it passed by reference. */
  readonly references = new CallWindow()
  /** What was passed either way and is open. Callbacks and abort signals are references, too. */
  readonly open = { streams: 0, references: 0 }
}

/** By name: a successor has to do with what its predecessor is still busy with. */
export class Peers {
  readonly #peers = new Map<string, Peer>()

  of(name: string): Peer {
    let peer = this.#peers.get(name)
    if (peer === undefined) this.#peers.set(name, (peer = new Peer()))
    return peer
  }
}
