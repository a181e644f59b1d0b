/**
 * A window: how many calls, and how many bytes of them, one place may have under way to another, over all lines between the two; the others
 * wait here, in order.
 */
import { HOST_OBJECT } from './clone-size.js'

/** Calls under way. A batch of a thousand small ones is nowhere near it. */
export const WINDOW_CALLS = 16_384
/** Bytes of calls under way, however few they are. */
export const WINDOW_BYTES = 8 * 1_024 * 1_024
/** Bytes of the arguments of one call, and of one result, as they are weighed. What is moved rather than copied does not count. */
export const CALL_LIMIT = 32 * 1_024 * 1_024
/**
 * Milliseconds for which a call that its caller gave up still counts: the other end may hold on to it, and who gives up at once could
 * otherwise fill its memory.
 */
const GIVEN_UP_COUNTS = 5_000

/** A call that waits for the window to open. */
export interface WaitingCall {
  /** It may leave, in the turn that goes on. */
  leave(): void
  /** It will not. */
  forgotten?: () => void
}

export class CallWindow {
  readonly #waiting = new Set<WaitingCall>()
  /** Goes on where it was: begun anew for each, it would pass all that have left before. */
  #order = this.#waiting.values()
  #calls = 0
  #bytes = 0

  /** One more may leave. Small ones are let out until their sum is too large, and a large one once there is room for any. */
  get open(): boolean {
    return this.#calls < WINDOW_CALLS && this.#bytes < WINDOW_BYTES
  }

  /** A call of that size leaves. */
  enter(bytes: number): void {
    this.#calls++
    this.#bytes += bytes
  }

  wait(call: WaitingCall): void {
    this.#waiting.add(call)
  }

  /** It waits no longer, and has not left. */
  forget(call: WaitingCall): void {
    if (this.#waiting.delete(call)) call.forgotten?.()
  }

  /** A call was answered. */
  left(bytes: number): void {
    this.#calls--
    this.#bytes -= bytes
    if (this.#waiting.size > 0) this.#admit()
  }

  /** A call was given up by its caller. */
  givenUp(bytes: number): void {
    setTimeout(() => this.left(bytes), GIVEN_UP_COUNTS).unref()
  }

  #admit(): void {
    while (this.open) {
      const { value: call } = this.#order.next()
      if (call === undefined) {
        this.#order = this.#waiting.values()
        return
      }
      this.#waiting.delete(call)
      call.leave()
    }
  }
}

/** What the objects weigh that are moved with a call. */
export const movedBytes = (transfer: readonly unknown[] | undefined): number => {
  let bytes = 0
  if (transfer === undefined) return bytes
  for (const object of transfer) bytes += HOST_OBJECT + (object instanceof ArrayBuffer ? object.byteLength : 0)
  return bytes
}
