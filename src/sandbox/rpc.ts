/** The conversation over a channel: requests with deadlines that can be cancelled, replies, notices, batched and in order. */
import type { Transferable } from 'node:worker_threads'
import { keepFollowed } from '../composite-signals.js'
import { PlugbayError } from '../errors.js'
import { isTooDeep, tooDeep } from '../nesting.js'
import { asBeginning, unended } from '../sentence.js'
import { isThenable } from '../thenable.js'
import { fromWire, reasonOf, toWire, type WireError } from '../wire-error.js'
import type { Batch, Channel } from './channel.js'
import { now } from './clock.js'
import { ServedCall } from './conversation/call.js'
import { Deadlines, type Timed } from './conversation/deadlines.js'
import { type Body, CANCEL, FAILURE, FrameReader, type Meta, NO_METAS, NOTICE, NUMBERED, REPLY, REQUEST } from './conversation/frames.js'
import { Outgoing } from './conversation/outgoing.js'
import { Boxed, type Party } from './conversation/party.js'
import { Underway } from './conversation/underway.js'
import { beat } from './pulse.js'
import { type CallWindow, movedBytes, type WaitingCall, WINDOW_BYTES, WINDOW_CALLS } from './values/call-window.js'
import { cloneSize } from './values/clone-size.js'
import { isLive, Packed, pack } from './values/codec.js'
import { LEAF_SHAPE, ShapeError } from './values/shape.js'
import { notCloneable, tooLargeForCall } from './values/unsendable.js'

/**
 * Up to so many requests under way, half of them leave while the other half is answered, which keeps both threads at work; one alone leaves
 * at once. Of more, those of a turn leave together: larger batches are worth more then.
 */
const FEW = 128

export interface RequestOptions {
  metas?: readonly Meta[]
  /** Milliseconds until the request fails with CALL_TIMEOUT. 0: no limit. */
  timeout?: number
  /** Cancels the request: it fails with CALL_CANCELLED, and the other end's signal aborts. */
  signal?: AbortSignal | undefined
  /**
   * Objects to move rather than copy. Where it is given, be it empty, the platform clones the whole value: cheaper for one whose shape
   * comes but once.
   */
  transfer?: readonly Transferable[] | undefined
}

/** What is held between the two ends of a line. */
export interface Bounds {
  /** Bytes of the body of one request, and of one reply; PAYLOAD_TOO_LARGE beyond. */
  limit?: number
  /** Requests of the other end that may be under way here: its own end lets no more of them leave. */
  atOnce?: number
  /**
   * This end calls: the body of a request without metas is its arguments, in an array that nobody else has, and requests wait here when too
   * much is under way. Others may share it.
   */
  window?: CallWindow
}

interface Pending extends Timed {
  verb: string
  /** What it takes of the window. */
  size: number
  /** It has not left: the window has no room. */
  waiting: WaitingCall | undefined
  resolve: (value: unknown) => void
  reject: (error: unknown) => void
  signal: AbortSignal | undefined
  abort: (() => void) | undefined
}

/** What settles the promise that was made last. A function for each, to take them, would have to be made and be run apart. */
let resolveNewest: Pending['resolve']
let rejectNewest: Pending['reject']
const takeSettlers = (resolve: Pending['resolve'], reject: Pending['reject']): void => {
  resolveNewest = resolve
  rejectNewest = reject
}

const errorIn = (body: unknown, from?: string): Error => {
  if (typeof body !== 'object' || body === null) throw new TypeError('an error is none')
  return fromWire(body as WireError, from)
}

/** One end of a conversation. Both ends are alike. */
export class Conversation {
  readonly #channel: Channel
  readonly #party: Party
  readonly #label: string
  readonly #pending = new Underway<Pending>()
  readonly #deadlines = new Deadlines(this.#pending, (id, pending) => this.#overdue(id, pending))
  readonly #serving = new Map<number, ServedCall>()
  /** Requests of the other end that it has not cancelled yet, answered or not. */
  #cancellable = 0
  /** Requests that were given up here and are not answered yet. */
  #givenUp = 0
  readonly #window: CallWindow | undefined
  readonly #limit: number
  readonly #atOnce: number
  readonly #out: Outgoing
  readonly #in = new FrameReader((kind, id, verb, metas, body) => this.#heard(kind, id, verb, metas, body))
  #over: PlugbayError | undefined
  #idle: (() => void) | undefined
  #drained: Promise<void> | undefined

  /** `label` names the other end in error messages: "plugin 'users'", "service 'users'". */
  constructor(channel: Channel, party: Party, label: string, bounds?: Bounds) {
    this.#channel = channel
    this.#party = party
    this.#label = label
    this.#limit = bounds?.limit ?? Infinity
    this.#atOnce = bounds?.atOnce ?? Infinity
    this.#window = bounds?.window
    this.#out = new Outgoing(channel, label, (at) => this.#deadlines.begin(at))
    channel.listen(
      (batch) => this.#receive(batch),
      (fault) => {
        if (fault) this.#broken(fault)
        else
          this.#end(
            party.lost?.() ?? new PlugbayError('CHANNEL_CLOSED', `${asBeginning(this.#label)} is gone: the channel to it was closed.`),
          )
      },
    )
  }

  get over(): boolean {
    return this.#over !== undefined
  }

  /** How many requests wait for their reply. */
  get pending(): number {
    return this.#pending.size
  }

  /**
   * Asks the other end. Rejects with its error, with CALL_TIMEOUT, CALL_CANCELLED, CHANNEL_CLOSED, PAYLOAD_NOT_CLONEABLE or
   * PAYLOAD_TOO_LARGE.
   */
  request(verb: string, body?: unknown, options?: RequestOptions): Promise<unknown> {
    if (this.#over) return Promise.reject(this.#over)
    const signal = options?.signal
    if (signal?.aborted) return Promise.reject(this.#cancelled(verb, signal))
    const timeout = options?.timeout ?? 0
    const answer = new Promise(takeSettlers)
    const pending: Pending = {
      verb,
      size: 0,
      waiting: undefined,
      resolve: resolveNewest,
      reject: rejectNewest,
      deadline: Infinity,
      timeout,
      signal,
      abort: undefined,
    }
    const id = this.#pending.add(pending)
    const held = this.#out.held
    try {
      this.#out.held = true
      const metas = options?.metas ?? NO_METAS
      const window = this.#window
      if (window === undefined) this.#out.write(REQUEST, id, verb, metas, body, options?.transfer, this.#limit)
      else if (window.open) {
        pending.size =
          options?.transfer === undefined
            ? this.#out.writeArguments(id, verb, body as readonly unknown[], this.#limit)
            : this.#out.write(REQUEST, id, verb, metas, body, options.transfer, this.#limit)
        window.enter(pending.size)
      } else this.#wait(window, id, pending, metas, body, options?.transfer)
    } catch (error) {
      this.#pending.take(id)
      pending.reject(error)
      return answer
    } finally {
      this.#out.held = held
    }
    if (timeout > 0) this.#deadlines.add(pending)
    if (signal) {
      keepFollowed(signal)
      pending.abort = () => this.#abandon(id, this.#cancelled(verb, signal))
      signal.addEventListener('abort', pending.abort, { once: true })
    }
    if (pending.waiting !== undefined) this.#deadlines.begin(now())
    // One that could not wait for others has left already.
    else if (this.#out.frames === 0) this.#out.left()
    else if (this.#out.frames >= this.#pending.size >> 1 && this.#pending.size <= FEW) this.#out.flush()
    else this.#out.hurry()
    return answer
  }

  /**
   * Tells the other end, and returns the size of the body in bytes, roughly. Throws PAYLOAD_NOT_CLONEABLE for a body that cannot cross, and
   * PAYLOAD_TOO_LARGE for one of more than `limit` bytes; after the end it does nothing.
   */
  notify(verb: string, metas: readonly Meta[], body?: unknown, transfer?: readonly Transferable[], limit = Infinity): number {
    return this.#over === undefined ? this.#out.write(NOTICE, 0, verb, metas, body, transfer, limit) : 0
  }

  /** The window is full: it waits for its turn, as it is now. */
  #wait(
    window: CallWindow,
    id: number,
    pending: Pending,
    metas: readonly Meta[],
    body: unknown,
    transfer: readonly Transferable[] | undefined,
  ): void {
    const { verb } = pending
    let packed: Packed
    let moved = transfer
    try {
      if (transfer === undefined) packed = pack(body)
      else {
        if (isTooDeep(body)) throw tooDeep()
        // @types/node and the global disagree on what is transferable; both mean the same objects.
        const clone = structuredClone([body, transfer] as const, { transfer: transfer as unknown as ArrayBuffer[] })
        packed = new Packed(LEAF_SHAPE, [clone[0]], 0)
        moved = clone[1]
      }
    } catch (error) {
      throw this.#out.uncloneable(REQUEST, verb, metas, body, error)
    }
    const [leaf] = packed.leaves
    const size = packed.shape === LEAF_SHAPE && isLive(leaf) ? cloneSize(leaf, this.#limit, moved) : packed.size
    if (size > this.#limit) throw this.#out.tooLarge(REQUEST, verb, size, this.#limit)
    const leave = (): void => {
      pending.waiting = undefined
      pending.size = size + movedBytes(moved)
      window.enter(pending.size)
      try {
        if (moved === undefined) this.#out.writePacked(REQUEST, id, verb, metas, packed)
        else this.#out.writeLive(REQUEST, id, verb, metas, leaf, moved, Infinity)
        this.#out.hurry()
      } catch (error) {
        this.#failed(id, error as Error)
      }
    }
    pending.waiting = { leave, forgotten: () => new Boxed(leaf, moved ?? []).drop() }
    window.wait(pending.waiting)
  }

  /** Tells the other end with a body that is packed already, and a number if there is one. */
  forward(verb: string, metas: readonly Meta[], packed: Packed, number?: number): void {
    if (this.#over === undefined) this.#out.writePacked(number === undefined ? NOTICE : NUMBERED, number ?? 0, verb, metas, packed)
  }

  /** Whether there is what crosses threads and cannot be forwarded to this other end. */
  get refuses(): boolean {
    return this.#channel.refusal !== undefined
  }

  /** Why that is such. */
  refusal(packed: Packed): Error | undefined {
    return this.#channel.refusal?.(packed.leaves)
  }

  /** Sends what is waiting to leave. */
  flush(): void {
    this.#out.flush()
  }

  /** Resolves when no request of this end is under way. */
  drain(): Promise<void> {
    if (this.#pending.size === 0) return Promise.resolve()
    this.#drained ??= new Promise((resolve) => {
      this.#idle = () => {
        this.#idle = this.#drained = undefined
        resolve()
      }
    })
    return this.#drained
  }

  /** Ends the conversation: all requests under way, here and there, fail with `reason`. Idempotent. */
  close(reason?: PlugbayError): void {
    if (this.#over) return
    this.flush()
    this.#end(reason ?? new PlugbayError('CHANNEL_CLOSED', `The conversation with ${this.#label} was closed.`))
    this.#channel.close()
  }

  // ── reading ──────────────────────────────────────────────────────────────────────────────────────────────────────

  #receive(batch: Batch): void {
    if (this.#over) return
    this.#out.held = true
    try {
      this.#in.read(batch)
    } catch (error) {
      this.#broken(error)
    } finally {
      this.#out.held = false
      this.#out.flush()
    }
  }

  #heard(kind: number, id: number, verb: string, metas: readonly Meta[], body: Body): boolean {
    switch (kind) {
      case NOTICE:
      case NUMBERED:
        try {
          this.#party.notice?.(verb, metas, body, id)
        } catch (error) {
          // What it refuses, and a body that cannot be built, is the other end's doing.
          if (PlugbayError.is(error) || error instanceof ShapeError) throw error
          this.#failedHere(verb, error)
        }
        break
      case REQUEST:
        this.#serve(id, verb, metas, body.open())
        break
      case REPLY:
        this.#replied(id, metas, body.open())
        break
      case FAILURE:
        // Nothing is built for whom nobody waits.
        if (this.#pending.has(id)) this.#failed(id, errorIn(body.open(), this.#party.other))
        else this.#late()
        break
      case CANCEL:
        this.#cancel(id, body)
        break
      default:
        throw new RangeError('a frame is of no known kind')
    }
    return this.#over === undefined
  }

  #serve(id: number, verb: string, metas: readonly Meta[], body: unknown): void {
    if (this.#serving.size >= this.#atOnce) throw new RangeError(`it has more than ${this.#atOnce} requests under way`)
    const call = new ServedCall(verb, metas)
    this.#cancellable++
    let result: unknown
    try {
      result = this.#party.request(call, body)
    } catch (error) {
      this.#fail(id, error)
      return
    }
    if (!isThenable(result)) {
      this.#reply(id, verb, result)
      return
    }
    this.#serving.set(id, call)
    // Those that were cancelled meanwhile: nobody waits for them.
    result.then(
      (value) => {
        if (this.#serving.delete(id)) this.#reply(id, verb, value)
        else if (value instanceof Boxed) value.drop()
      },
      (error: unknown) => {
        if (this.#serving.delete(id)) this.#fail(id, error)
      },
    )
  }

  #reply(id: number, verb: string, value: unknown): void {
    beat()
    if (this.#over) return
    try {
      if (value instanceof Boxed) this.#out.write(REPLY, id, '', value.metas, value.value, value.transfer, this.#limit)
      else this.#out.write(REPLY, id, '', NO_METAS, value, undefined, this.#limit)
    } catch (error) {
      this.#fail(id, this.#unanswered(verb, error))
    }
  }

  /** Why a result could not leave: a frame with a reply does not know what it answers. */
  #unanswered(verb: string, error: unknown): unknown {
    if (!PlugbayError.is(error)) return error
    const { plugin } = this.#party
    const what = `The result of '${verb}'${plugin === undefined ? '' : ` of '${plugin}'`} for ${this.#label}`
    const about = { ...(plugin === undefined ? {} : { plugin }), details: { verb } }
    if (error.code === 'PAYLOAD_TOO_LARGE') return tooLargeForCall(`${what} is`, error.details?.['size'] as number, this.#limit, about)
    if (error.code !== 'PAYLOAD_NOT_CLONEABLE') return error
    return notCloneable(what, error.cause, { ...about, path: error.details?.['path'] as string | undefined })
  }

  #fail(id: number, error: unknown): void {
    if (this.#over === undefined) this.#out.write(FAILURE, id, '', NO_METAS, toWire(error, this.#party.plugin))
  }

  /** Of one that was answered meanwhile it says nothing any more; of one that never came it cannot. */
  #cancel(id: number, body: Body): void {
    if (--this.#cancellable < 0) throw new RangeError('it cancels what it never asked for')
    const call = this.#serving.get(id)
    if (call === undefined) return
    call.cancel(errorIn(body.open()))
    this.#serving.delete(id)
  }

  // ── the requests under way ───────────────────────────────────────────────────────────────────────────────────────

  #replied(id: number, metas: readonly Meta[], body: unknown): void {
    const pending = this.#answered(id)
    if (pending === undefined) {
      this.#late()
      if (metas.length > 0) this.#party.dropped?.(metas, body)
      return
    }
    if (metas.length === 0) {
      pending.resolve(body)
      return
    }
    try {
      pending.resolve(this.#party.unbox?.(metas, body, pending.signal))
    } catch (error) {
      pending.reject(error)
    }
  }

  #failed(id: number, error: Error): void {
    this.#answered(id)?.reject(error)
  }

  /** An answer to what is no longer waited for: there is one at most for each request that was given up. */
  #late(): void {
    if (--this.#givenUp < 0) throw new RangeError('it answers what nobody asked')
  }

  #answered(id: number): Pending | undefined {
    const pending = this.#settle(id)
    const window = this.#window
    if (window !== undefined && pending !== undefined) {
      if (pending.waiting === undefined) window.left(pending.size)
      else window.forget(pending.waiting)
    }
    return pending
  }

  #settle(id: number): Pending | undefined {
    const pending = this.#pending.take(id)
    if (pending === undefined) return undefined
    if (pending.abort !== undefined) pending.signal?.removeEventListener('abort', pending.abort)
    if (this.#pending.size === 0 && this.#idle !== undefined) this.#idle()
    return pending
  }

  #abandon(id: number, error: PlugbayError): void {
    const pending = this.#settle(id)
    if (pending === undefined) return
    pending.reject(error)
    if (pending.waiting !== undefined) {
      this.#window?.forget(pending.waiting)
      return
    }
    this.#givenUp++
    this.#window?.givenUp(pending.size)
    if (this.#over === undefined) this.#out.write(CANCEL, id, '', NO_METAS, toWire(error))
  }

  #cancelled(verb: string, signal: AbortSignal): PlugbayError {
    return new PlugbayError('CALL_CANCELLED', `The call of '${verb}' on ${this.#label} was cancelled by its caller.`, {
      cause: signal.reason,
    })
  }

  #overdue(id: number, { verb, timeout, waiting }: Pending): void {
    const why =
      waiting === undefined
        ? `${asBeginning(this.#label)} did not answer '${verb}' within ${timeout} ms. Raise the call's timeout, or find what keeps the provider busy.`
        : `The call of '${verb}' on ${this.#label} found no room within ${timeout} ms: ${WINDOW_CALLS} calls are under way to it, or ${WINDOW_BYTES} bytes of them. ` +
          'Await calls before making more, or find what keeps the provider busy.'
    this.#abandon(id, new PlugbayError('CALL_TIMEOUT', why, { details: { verb, timeout } }))
  }

  #broken(error: unknown): void {
    this.#end(
      new PlugbayError('PROTOCOL', `${asBeginning(this.#label)} sent a message that breaks the protocol: ${(error as Error).message}.`, {
        cause: error,
      }),
    )
    this.#channel.close()
  }

  /** A message was taken by halves: nobody knows what else would be wrong, so this ends too, and the other end is not blamed. */
  #failedHere(verb: string, error: unknown): void {
    this.#end(
      new PlugbayError(
        'INTERNAL',
        `plugbay itself failed at '${verb}' from ${this.#label}: ${unended(reasonOf(error))}. That is a mistake in plugbay: please report it with the stack of the cause.`,
        { cause: error, details: { verb } },
      ),
    )
    this.#channel.close()
  }

  #end(reason: PlugbayError): void {
    if (this.#over) return
    this.#over = reason
    this.#deadlines.close()
    this.#out.take()
    const pending = this.#pending.entries()
    // None of them is to leave for the room that another gives back.
    for (const [, { waiting }] of pending) if (waiting !== undefined) this.#window?.forget(waiting)
    for (const [id] of pending) this.#answered(id)?.reject(reason)
    for (const call of this.#serving.values()) call.cancel(reason)
    this.#serving.clear()
    this.#party.ended?.(reason)
  }
}
