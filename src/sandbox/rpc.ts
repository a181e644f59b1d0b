/** The conversation over a channel: requests with deadlines that can be cancelled, replies, notices, batched and in order. */
import type { Transferable } from 'node:worker_threads'
import { PlugbayError } from '../errors.js'
import { isTooDeep, tooDeep } from '../nesting.js'
import { isThenable } from '../thenable.js'
import { fromWire, reasonOf, toWire, type WireError } from '../wire-error.js'
import { ServedCall } from './call.js'
import { type CallWindow, movedBytes, type WaitingCall, WINDOW_BYTES, WINDOW_CALLS } from './call-window.js'
import type { Batch, Channel } from './channel.js'
import { now } from './clock.js'
import { cloneSize } from './clone-size.js'
import { encode, encodeArguments, encodedSize, isLive, LEAF_BYTES, leafCount, Packed, pack, sentSize, takeLeaves } from './codec.js'
import { Deadlines, type Timed } from './deadlines.js'
import { depart, departed, type Writer } from './departures.js'
import {
  type Body,
  CANCEL,
  FAILURE,
  FrameReader,
  FrameWriter,
  type Kind,
  type Meta,
  NO_METAS,
  NOTICE,
  NUMBERED,
  REPLY,
  REQUEST,
} from './frames.js'
import { Boxed, type Party } from './party.js'
import { beat } from './pulse.js'
import { asBeginning } from './sentence.js'
import { LEAF_SHAPE, type Shape, ShapeError } from './shape.js'
import { uncloneablePart } from './uncloneable-part.js'
import { Underway } from './underway.js'
import { notCloneable, tooLarge, tooLargeForCall } from './unsendable.js'

/**
 * Up to so many requests under way, half of them leave while the other half is answered, which keeps both threads at work; one alone leaves at
 * once. Of more, those of a turn leave together: larger batches are worth more then.
 */
const FEW = 128

export interface RequestOptions {
  metas?: readonly Meta[]
  /** Milliseconds until the request fails with CALL_TIMEOUT. 0: no limit. */
  timeout?: number
  /** Cancels the request: it fails with CALL_CANCELLED, and the other end's signal aborts. */
  signal?: AbortSignal | undefined
  /** Objects to move rather than copy. Where it is given, be it empty, the platform clones the whole value: cheaper for one whose shape comes but once. */
  transfer?: readonly Transferable[] | undefined
}

/** What is held between the two ends of a line. */
export interface Bounds {
  /** Bytes of the body of one request, and of one reply; PAYLOAD_TOO_LARGE beyond. */
  limit?: number
  /** Requests of the other end that may be under way here: its own end lets no more of them leave. */
  atOnce?: number
  /** This end calls: the body of a request without metas is its arguments, in an array that nobody else has, and requests wait here when too much is under way. Others may share it. */
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

const errorIn = (body: unknown): Error => {
  if (typeof body !== 'object' || body === null) throw new TypeError('an error is none')
  return fromWire(body as WireError)
}

/** What a path into a body begins with. */
const rootOf = (kind: Kind, body: unknown): string => {
  if (kind === NOTICE) return 'data'
  return kind === REPLY ? 'result' : Array.isArray(body) ? 'arguments' : 'value'
}

/**
 * One end of a conversation. Both ends are alike. Frames of one turn travel together, but where waiting gains nothing.
 */
export class Conversation implements Writer {
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
  readonly #out = new FrameWriter()
  readonly #in = new FrameReader((kind, id, verb, metas, body) => this.#heard(kind, id, verb, metas, body))
  #over: PlugbayError | undefined
  #idle: (() => void) | undefined
  #drained: Promise<void> | undefined
  /** It waits to be told to leave. */
  #waits = false
  #urgent = false
  /** Whoever writes will flush or plan to. */
  #held = false

  /** `label` names the other end in error messages: "plugin 'users'", "service 'users'". */
  constructor(channel: Channel, party: Party, label: string, bounds?: Bounds) {
    this.#channel = channel
    this.#party = party
    this.#label = label
    this.#limit = bounds?.limit ?? Infinity
    this.#atOnce = bounds?.atOnce ?? Infinity
    this.#window = bounds?.window
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

  /** Asks the other end. Rejects with its error, with CALL_TIMEOUT, CALL_CANCELLED, CHANNEL_CLOSED, PAYLOAD_NOT_CLONEABLE or PAYLOAD_TOO_LARGE. */
  request(verb: string, body?: unknown, options?: RequestOptions): Promise<unknown> {
    return new Promise((resolve, reject) => {
      if (this.#over) {
        reject(this.#over)
        return
      }
      const signal = options?.signal
      if (signal?.aborted) {
        reject(this.#cancelled(verb, signal))
        return
      }
      const timeout = options?.timeout ?? 0
      const pending: Pending = { verb, size: 0, waiting: undefined, resolve, reject, deadline: Infinity, timeout, signal, abort: undefined }
      const id = this.#pending.add(pending)
      const held = this.#held
      try {
        this.#held = true
        const metas = options?.metas ?? NO_METAS
        const window = this.#window
        if (window === undefined) this.#write(REQUEST, id, verb, metas, body, options?.transfer, this.#limit)
        else if (window.open) {
          pending.size =
            options?.transfer === undefined
              ? this.#writeArguments(id, verb, body as readonly unknown[])
              : this.#write(REQUEST, id, verb, metas, body, options.transfer, this.#limit)
          window.enter(pending.size)
        } else this.#wait(window, id, pending, metas, body, options?.transfer)
      } catch (error) {
        this.#pending.take(id)
        reject(error)
        return
      } finally {
        this.#held = held
      }
      if (timeout > 0) this.#deadlines.add(pending)
      if (signal) {
        pending.abort = () => this.#abandon(id, this.#cancelled(verb, signal))
        signal.addEventListener('abort', pending.abort, { once: true })
      }
      if (pending.waiting !== undefined) this.#deadlines.begin(now())
      // One that could not wait for others has left already.
      else if (this.#out.frames === 0) this.#departed()
      else if (this.#out.frames >= this.#pending.size >> 1 && this.#pending.size <= FEW) this.flush()
      else {
        this.#urgent = true
        this.#depart()
      }
    })
  }

  /**
   * Tells the other end, and returns the size of the body in bytes, roughly. Throws PAYLOAD_NOT_CLONEABLE for a body that cannot cross, and PAYLOAD_TOO_LARGE for one of
   * more than `limit` bytes; after the end it does nothing.
   */
  notify(verb: string, metas: readonly Meta[], body?: unknown, transfer?: readonly Transferable[], limit = Infinity): number {
    return this.#over === undefined ? this.#write(NOTICE, 0, verb, metas, body, transfer, limit) : 0
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
      throw this.#uncloneable(REQUEST, verb, metas, body, error)
    }
    const [leaf] = packed.leaves
    const size = packed.shape === LEAF_SHAPE && isLive(leaf) ? cloneSize(leaf, this.#limit, moved) : packed.size
    if (size > this.#limit) throw this.#tooLarge(REQUEST, verb, size, this.#limit)
    const leave = (): void => {
      pending.waiting = undefined
      pending.size = size + movedBytes(moved)
      window.enter(pending.size)
      try {
        this.#urgent = true
        if (moved === undefined) this.#writePacked(REQUEST, id, verb, metas, packed)
        else this.#writeLive(REQUEST, id, verb, metas, leaf, moved, Infinity)
      } catch (error) {
        this.#failed(id, error as Error)
      }
    }
    pending.waiting = { leave, forgotten: () => new Boxed(leaf, moved ?? []).drop() }
    window.wait(pending.waiting)
  }

  /** Tells the other end with a body that is packed already, and a number if there is one. */
  forward(verb: string, metas: readonly Meta[], packed: Packed, number?: number): void {
    if (this.#over === undefined) this.#writePacked(number === undefined ? NOTICE : NUMBERED, number ?? 0, verb, metas, packed)
  }

  /** A request waits to leave. For the departures only, like {@link leave}. */
  get urgent(): boolean {
    return this.#urgent
  }

  leave(): void {
    this.#waits = false
    this.flush()
  }

  /** Sends what is waiting to leave. */
  flush(): void {
    if (this.#out.frames === 0) return
    const batch = this.#take()
    this.#departed()
    this.#channel.send(batch)
  }

  #take(): Batch {
    this.#urgent = false
    return this.#out.take()
  }

  /** The clock is read here alone: it costs as much as the rest of a frame. */
  #departed(): void {
    this.#deadlines.begin(departed())
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

  // ── writing ──────────────────────────────────────────────────────────────────────────────────────────────────────

  /** Returns the size of the body. */
  #write(
    kind: Kind,
    id: number,
    verb: string,
    metas: readonly Meta[],
    body: unknown,
    transfer?: readonly Transferable[],
    limit = Infinity,
  ): number {
    if (transfer !== undefined) return this.#writeLive(kind, id, verb, metas, body, transfer, limit)
    const type = typeof body
    if (type === 'object' ? body === null : type !== 'function' && type !== 'symbol') {
      const size = type === 'string' ? (body as string).length + LEAF_BYTES : LEAF_BYTES
      if (size > limit) throw this.#tooLarge(kind, verb, size, limit)
      this.#out.begin(kind, id, verb, metas, LEAF_SHAPE, 1).push(body)
      this.#written(size)
      return size
    }
    const shape = encode(body)
    return shape === undefined
      ? this.#writeLive(kind, id, verb, metas, body, undefined, limit)
      : this.#writeEncoded(kind, id, verb, metas, shape, limit)
  }

  #writeArguments(id: number, verb: string, args: readonly unknown[]): number {
    const shape = encodeArguments(args)
    return shape === undefined
      ? this.#writeLive(REQUEST, id, verb, NO_METAS, args, undefined, this.#limit)
      : this.#writeEncoded(REQUEST, id, verb, NO_METAS, shape, this.#limit)
  }

  /** Of what was encoded last. Returns its size. */
  #writeEncoded(kind: Kind, id: number, verb: string, metas: readonly Meta[], { text }: Shape, limit: number): number {
    const size = encodedSize()
    if (size > limit) {
      takeLeaves([])
      throw this.#tooLarge(kind, verb, size, limit)
    }
    takeLeaves(this.#out.begin(kind, id, verb, metas, text, leafCount()))
    this.#written(size)
    return size
  }

  #writePacked(kind: Kind, id: number, verb: string, metas: readonly Meta[], packed: Packed): void {
    const { shape, leaves, size } = packed
    const live = shape === LEAF_SHAPE && isLive(leaves[0])
    if (live) this.flush()
    const out = this.#out.begin(kind, id, verb, metas, shape, leaves.length)
    for (let i = 0; i < leaves.length; i++) out.push(leaves[i])
    this.#written(size)
    if (live) this.flush()
  }

  #tooLarge(kind: Kind, verb: string, size: number, limit: number): PlugbayError {
    const about = { details: { verb } }
    if (kind === REQUEST) return tooLargeForCall(`The arguments of '${verb}' of ${this.#label} are`, size, limit, about)
    return tooLarge(`A value for '${verb}' of ${this.#label}`, size, limit, about)
  }

  #uncloneable(kind: Kind, verb: string, metas: readonly Meta[], body: unknown, error: unknown): PlugbayError {
    // What is boxed is not as its sender knows it.
    const path = kind === NOTICE || metas.length === 0 ? uncloneablePart(body, rootOf(kind, body)) : undefined
    return notCloneable(`A value for '${verb}' of ${this.#label}`, error, { details: { verb }, path })
  }

  /** A value that is not plain travels alone and at once, before its owner can change it. */
  #writeLive(
    kind: Kind,
    id: number,
    verb: string,
    metas: readonly Meta[],
    body: unknown,
    transfer: readonly Transferable[] | undefined,
    limit: number,
  ): number {
    // Weighed only for whom it matters: it is a walk.
    const size = limit === Infinity ? 0 : kind === NOTICE ? sentSize(body) : cloneSize(body, limit, transfer)
    if (size > limit) throw this.#tooLarge(kind, verb, size, limit)
    if (isTooDeep(body)) throw this.#uncloneable(kind, verb, metas, body, tooDeep())
    this.flush()
    this.#out.begin(kind, id, verb, metas, LEAF_SHAPE, 1).push(body)
    try {
      this.#channel.send(this.#take(), transfer)
    } catch (error) {
      throw this.#uncloneable(kind, verb, metas, body, error)
    }
    return size + movedBytes(transfer)
  }

  #written(bytes: number): void {
    if (this.#out.end(bytes)) this.flush()
    else if (!this.#held) this.#depart()
  }

  #depart(): void {
    depart(this, this.#waits)
    this.#waits = true
  }

  // ── reading ──────────────────────────────────────────────────────────────────────────────────────────────────────

  #receive(batch: Batch): void {
    if (this.#over) return
    this.#held = true
    try {
      this.#in.read(batch)
    } catch (error) {
      this.#broken(error)
    } finally {
      this.#held = false
      this.flush()
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
        if (this.#pending.has(id)) this.#failed(id, errorIn(body.open()))
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
      if (value instanceof Boxed) this.#write(REPLY, id, '', value.metas, value.value, value.transfer, this.#limit)
      else this.#write(REPLY, id, '', NO_METAS, value, undefined, this.#limit)
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
    if (this.#over === undefined) this.#write(FAILURE, id, '', NO_METAS, toWire(error, this.#party.plugin))
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
    if (this.#over === undefined) this.#write(CANCEL, id, '', NO_METAS, toWire(error))
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
        `plugbay itself failed at '${verb}' from ${this.#label}: ${reasonOf(error).replace(/\.$/, '')}. That is a mistake in plugbay: please report it with the stack of the cause.`,
        { cause: error, details: { verb } },
      ),
    )
    this.#channel.close()
  }

  #end(reason: PlugbayError): void {
    if (this.#over) return
    this.#over = reason
    this.#deadlines.close()
    this.#take()
    const pending = this.#pending.entries()
    // None of them is to leave for the room that another gives back.
    for (const [, { waiting }] of pending) if (waiting !== undefined) this.#window?.forget(waiting)
    for (const [id] of pending) this.#answered(id)?.reject(reason)
    for (const call of this.#serving.values()) call.cancel(reason)
    this.#serving.clear()
    this.#party.ended?.(reason)
  }
}
