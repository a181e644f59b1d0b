/** The conversation over a channel: requests with deadlines that can be cancelled, replies, notices, batched and in order. */
import type { Transferable } from 'node:worker_threads'
import { fromWire, PlugbayError, toWire, type WireError } from '../errors.js'
import type { Batch, Channel } from './channel.js'
import { now } from './clock.js'
import { encode, encodedSize, isLive, LEAF_BYTES, leafCount, liveSize, Packed, takeLeaves } from './codec.js'
import { depart, departed, type Writer } from './departures.js'
import { beat } from './pulse.js'
import { builderFor, LEAF_SHAPE, type ShapeText } from './shape.js'
import { Underway } from './underway.js'
import { notCloneable, tooLarge } from './unsendable.js'

/*
 * A batch is a flat array of frames. A frame leaves out what is as in the frame before it, since bursts are made of like frames:
 *
 *   head, [id], [verb, count of metas], …metas, [shape], [count of leaves], …leaves
 *
 * `head` is a small integer: the kind in its lowest bits, then a bit for each part that is left out, then one for each meta. A notice has no
 * id unless it is numbered, and one that follows the id before it is left out; the shape of a leaf has no count. A batch stands for itself: nothing in it refers
 * to an earlier one.
 */
const REQUEST = 1
const REPLY = 2
const FAILURE = 3
const NOTICE = 4
const CANCEL = 5
/** A notice with a number of its sender's, which is cheap when it counts upwards. */
const NUMBERED = 6
type Kind = typeof REQUEST | typeof REPLY | typeof FAILURE | typeof NOTICE | typeof CANCEL | typeof NUMBERED

const KIND = 0b111
const SAME_VERB = 1 << 3
const SAME_SHAPE = 1 << 4
const SAME_COUNT = 1 << 5
const NEXT_ID = 1 << 6
/** The bit of the first meta; the others follow. */
const META_SHIFT = 7
const SAME_META = 1 << META_SHIFT

/** What one frame says beside its body. Primitives, never undefined. */
export type Meta = string | number | boolean | null
const NO_METAS: readonly Meta[] = []

/**
 * A batch is posted when it holds this much, even before the end of the turn. With twice as much, one more frame of 64 KB would make a message for
 * which the allocator asks the system for memory and gives it back, each time.
 */
const BATCH_BYTES = 32 * 1_024
const BATCH_FRAMES = 256
/**
 * Up to so many requests under way, half of them leave while the other half is answered, which keeps both threads at work; one alone leaves at
 * once. Of more, those of a turn leave together: larger batches are worth more then.
 */
const FEW = 128

const NO_BATCH: Batch = []

/** The body of a notice, in the batch it came in. */
export class Body {
  #batch: Batch = NO_BATCH
  #shape: ShapeText = LEAF_SHAPE
  #at = 0
  #count = 0

  /** Points to the next body. For the conversation only. */
  point(batch: Batch, shape: ShapeText, at: number, count: number): void {
    this.#batch = batch
    this.#shape = shape
    this.#at = at
    this.#count = count
  }

  /** Forgets the batch: kept until the next one, it would be copied by every collection of the young generation. For the conversation only. */
  release(): void {
    this.#batch = NO_BATCH
    this.#shape = LEAF_SHAPE
  }

  /** The value. */
  open(): unknown {
    return this.#shape === LEAF_SHAPE ? this.#batch[this.#at] : builderFor(this.#shape)(this.#batch, this.#at)
  }

  /** The value as it came, to be kept or passed on. */
  pack(): Packed {
    const leaves = this.#batch.slice(this.#at, this.#at + this.#count)
    return new Packed(this.#shape, leaves, sizeOf(leaves))
  }
}

/** A request under way at the end that serves it. */
export interface Call {
  readonly verb: string
  readonly metas: readonly Meta[]
  /** Aborted when the caller cancels, its deadline passes, or the conversation ends. Made when first read. */
  readonly signal: AbortSignal
}

/** What one end does with what the other end says. */
export interface Party {
  /** The plugin that answers here: errors that leave carry it as their origin. */
  readonly plugin?: string | undefined
  /** Answers a request: with a value, a promise of one, or by throwing. */
  request(call: Call, body: unknown): unknown
  /** Takes a notice. Must not throw. The body is valid during the call only; the number means something if the other end numbered it. */
  notice?(verb: string, metas: readonly Meta[], body: Body, number: number): void
  /** Makes the value of a reply that came with metas: one that is more than data. */
  unbox?(metas: readonly Meta[], body: unknown): unknown
  /** Why the conversation is over when the other end closed it. Default: CHANNEL_CLOSED. */
  lost?(): PlugbayError
  /** Called once when the conversation is over: by `close`, by the other end, or for a broken protocol (then with the error). */
  ended?(reason: PlugbayError): void
}

export interface RequestOptions {
  metas?: readonly Meta[]
  /** Milliseconds until the request fails with CALL_TIMEOUT. 0: no limit. */
  timeout?: number
  /** Cancels the request: it fails with CALL_CANCELLED, and the other end's signal aborts. */
  signal?: AbortSignal | undefined
  /** Objects to move rather than copy. */
  transfer?: readonly Transferable[] | undefined
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
}

interface Pending {
  verb: string
  resolve: (value: unknown) => void
  reject: (error: unknown) => void
  deadline: number
  timeout: number
  unlisten: (() => void) | undefined
}

class Serving implements Call {
  readonly verb: string
  readonly metas: readonly Meta[]
  #abort: AbortController | undefined
  #reason: unknown

  constructor(verb: string, metas: readonly Meta[]) {
    this.verb = verb
    this.metas = metas
  }

  get signal(): AbortSignal {
    if (this.#abort === undefined) {
      this.#abort = new AbortController()
      if (this.#reason !== undefined) this.#abort.abort(this.#reason)
    }
    return this.#abort.signal
  }

  cancel(reason: unknown): void {
    this.#reason = reason
    this.#abort?.abort(reason)
  }
}

/** A number of things in the rest of a batch: one that is not believed could lead back, or on for ever. */
const countIn = (batch: Batch, at: number): number => {
  const count = batch[at]
  if (!(Number.isInteger(count) && (count as number) >= 0 && (count as number) < batch.length - at))
    throw new RangeError('a count is not valid')
  return count as number
}

const errorIn = (body: unknown): Error => {
  if (typeof body !== 'object' || body === null) throw new TypeError('an error is none')
  return fromWire(body as WireError)
}

const isThenable = (value: unknown): value is PromiseLike<unknown> =>
  typeof value === 'object' && value !== null && 'then' in value && typeof value.then === 'function'

/**
 * One end of a conversation. Both ends are alike. Frames of one turn travel together, but where waiting gains nothing.
 */
export class Conversation implements Writer {
  readonly #channel: Channel
  readonly #party: Party
  readonly #label: string
  readonly #pending = new Underway<Pending>()
  readonly #serving = new Map<number, Serving>()
  #over: PlugbayError | undefined
  #idle: (() => void) | undefined
  #drained: Promise<void> | undefined

  #out: Batch = []
  #frames = 0
  #bytes = 0
  /** What the last frame of the batch said. */
  #verb: string | undefined
  #metas: readonly Meta[] = NO_METAS
  #id = 0
  #shape: ShapeText | undefined
  #count = 0
  readonly #body = new Body()
  /** It waits to be told to leave. */
  #waits = false
  #urgent = false
  /** Whoever writes will flush or plan to. */
  #held = false

  /** Requests whose time begins when they leave. */
  #timed: Pending[] = []
  #timer: NodeJS.Timeout | undefined
  #nextDeadline = Infinity

  /** `label` names the other end in error messages: "plugin 'users'", "service 'users'". */
  constructor(channel: Channel, party: Party, label: string) {
    this.#channel = channel
    this.#party = party
    this.#label = label
    channel.listen(
      (batch) => this.#receive(batch),
      (fault) => {
        if (fault) this.#broken(fault)
        else this.#end(party.lost?.() ?? new PlugbayError('CHANNEL_CLOSED', `${this.#label} is gone: the channel to it was closed.`))
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

  /** Asks the other end. Rejects with its error, with CALL_TIMEOUT, CALL_CANCELLED, CHANNEL_CLOSED or PAYLOAD_NOT_CLONEABLE. */
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
      const pending: Pending = { verb, resolve, reject, deadline: Infinity, timeout, unlisten: undefined }
      const id = this.#pending.add(pending)
      const held = this.#held
      try {
        this.#held = true
        this.#write(REQUEST, id, verb, options?.metas ?? NO_METAS, body, options?.transfer)
      } catch (error) {
        this.#pending.take(id)
        reject(error)
        return
      } finally {
        this.#held = held
      }
      if (timeout > 0) this.#timed.push(pending)
      if (signal) {
        const abort = (): void => this.#abandon(id, this.#cancelled(verb, signal))
        signal.addEventListener('abort', abort, { once: true })
        pending.unlisten = () => signal.removeEventListener('abort', abort)
      }
      // One that could not wait for others has left already.
      if (this.#frames === 0) this.#departed()
      else if (this.#frames >= this.#pending.size >> 1 && this.#pending.size <= FEW) this.flush()
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

  /** Tells the other end with a body that is packed already, and a number if there is one. */
  forward(verb: string, metas: readonly Meta[], { shape, leaves, size }: Packed, number?: number): void {
    if (this.#over) return
    const live = shape === LEAF_SHAPE && isLive(leaves[0])
    if (live) this.flush()
    const at = number === undefined ? this.#head(NOTICE, 0, verb, metas) : this.#head(NUMBERED, number, verb, metas)
    this.#shaped(at, shape, leaves.length)
    const out = this.#out
    for (let i = 0; i < leaves.length; i++) out.push(leaves[i])
    this.#written(size)
    if (live) this.flush()
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
    if (this.#frames === 0) return
    const batch = this.#out
    this.#reset()
    this.#departed()
    this.#channel.send(batch)
  }

  /** The clock is read here alone: it costs as much as the rest of a frame. */
  #departed(): void {
    const leftAt = departed()
    if (this.#timed.length === 0) return
    let earliest = Infinity
    for (const pending of this.#timed) {
      pending.deadline = leftAt + pending.timeout
      if (pending.deadline < earliest) earliest = pending.deadline
    }
    this.#timed = []
    if (earliest < this.#nextDeadline) this.#arm(earliest)
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

  #reset(): void {
    this.#out = []
    this.#frames = 0
    this.#bytes = 0
    this.#urgent = false
    this.#id = 0
    this.#verb = undefined
    this.#metas = NO_METAS
    this.#shape = undefined
  }

  /** Writes all but the body. Returns where the head is: `#shaped` completes it. */
  #head(kind: Kind, id: number, verb: string, metas: readonly Meta[]): number {
    const out = this.#out
    const last = this.#metas
    const at = out.length
    let head: number = kind
    out.push(head)
    if (kind !== NOTICE) {
      if (id === this.#id + 1) head |= NEXT_ID
      else out.push(id)
      this.#id = id
    }
    if (verb === this.#verb && metas === last) head |= SAME_VERB | (((1 << metas.length) - 1) << META_SHIFT)
    else if (verb === this.#verb && metas.length === last.length) {
      head |= SAME_VERB
      for (let i = 0; i < metas.length; i++) {
        if (metas[i] === last[i]) head |= SAME_META << i
        else out.push(metas[i])
      }
    } else {
      out.push(verb, metas.length)
      for (let i = 0; i < metas.length; i++) out.push(metas[i])
      this.#verb = verb
    }
    this.#metas = metas
    out[at] = head
    return at
  }

  /** Writes what is to be known of the body before its leaves. */
  #shaped(at: number, shape: ShapeText, count: number): void {
    const out = this.#out
    let head = out[at] as number
    if (shape === this.#shape) head |= SAME_SHAPE
    else out.push((this.#shape = shape))
    if (shape !== LEAF_SHAPE) {
      if (count === this.#count && (head & SAME_SHAPE) !== 0) head |= SAME_COUNT
      else out.push((this.#count = count))
    }
    out[at] = head
  }

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
      const size = type === 'string' ? (body as string).length : LEAF_BYTES
      if (size > limit) throw this.#tooLarge(verb, size, limit)
      this.#shaped(this.#head(kind, id, verb, metas), LEAF_SHAPE, 1)
      this.#out.push(body)
      this.#written(size)
      return size
    }
    const shape = encode(body)
    if (shape === undefined) return this.#writeLive(kind, id, verb, metas, body, undefined, limit)
    const size = encodedSize()
    if (size > limit) {
      takeLeaves([])
      throw this.#tooLarge(verb, size, limit)
    }
    this.#shaped(this.#head(kind, id, verb, metas), shape.text, leafCount())
    takeLeaves(this.#out)
    this.#written(size)
    return size
  }

  #tooLarge(verb: string, size: number, limit: number): PlugbayError {
    return tooLarge(`A value for '${verb}' of ${this.#label}`, size, limit, { details: { verb } })
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
    const size = limit === Infinity ? 0 : liveSize(body)
    if (size > limit) throw this.#tooLarge(verb, size, limit)
    this.flush()
    this.#reset()
    this.#shaped(this.#head(kind, id, verb, metas), LEAF_SHAPE, 1)
    const batch = this.#out
    batch.push(body)
    this.#reset()
    try {
      this.#channel.send(batch, transfer)
    } catch (error) {
      throw notCloneable(`A value for '${verb}' of ${this.#label}`, error, { details: { verb } })
    }
    return size
  }

  #written(bytes: number): void {
    this.#frames++
    this.#bytes += bytes
    if (this.#bytes >= BATCH_BYTES || this.#frames >= BATCH_FRAMES) {
      this.flush()
    } else if (!this.#held) this.#depart()
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
      this.#read(batch)
    } catch (error) {
      this.#broken(error)
    } finally {
      this.#body.release()
      this.#held = false
      this.flush()
    }
  }

  #read(batch: Batch): void {
    if (!Array.isArray(batch)) throw new TypeError('it is no batch')
    const length = batch.length
    let at = 0
    let id = 0
    let verb = ''
    let metas: readonly Meta[] = NO_METAS
    let shape = ''
    let count = 0
    while (at < length) {
      beat()
      const head = batch[at++] as number
      const kind = head & KIND
      if (kind !== NOTICE) id = (head & NEXT_ID) === 0 ? (batch[at++] as number) : id + 1
      if ((head & SAME_VERB) === 0) {
        verb = batch[at++] as string
        if (typeof verb !== 'string') throw new TypeError('a verb is no text')
        const metaCount = countIn(batch, at++)
        metas = metaCount === 0 ? NO_METAS : (batch.slice(at, at + metaCount) as Meta[])
        at += metaCount
      } else if (head >> META_SHIFT !== (1 << metas.length) - 1) {
        const next = metas.slice()
        for (let i = 0; i < next.length; i++) if ((head & (SAME_META << i)) === 0) next[i] = batch[at++] as Meta
        metas = next
      }
      if ((head & SAME_SHAPE) === 0) shape = batch[at++] as string
      if (shape === LEAF_SHAPE) count = 1
      else if ((head & SAME_COUNT) === 0) count = countIn(batch, at++)
      const start = at
      at += count
      if (!(at <= length)) throw new RangeError('a frame is longer than its batch')
      if (kind === NOTICE || kind === NUMBERED) {
        this.#body.point(batch, shape, start, count)
        this.#party.notice?.(verb, metas, this.#body, id)
        if (this.#over) return
        continue
      }
      const body = shape === LEAF_SHAPE ? batch[start] : builderFor(shape)(batch, start)
      if (kind === REPLY) {
        if (metas.length === 0) this.#settle(id)?.resolve(body)
        else this.#unbox(id, metas, body)
      } else if (kind === FAILURE) {
        const error = errorIn(body)
        this.#settle(id)?.reject(error)
      } else if (kind === REQUEST) this.#serve(id, verb, metas, body)
      else if (kind === CANCEL) {
        const reason = errorIn(body)
        this.#serving.get(id)?.cancel(reason)
        this.#serving.delete(id)
      } else throw new RangeError('a frame is of no known kind')
      if (this.#over) return
    }
  }

  #unbox(id: number, metas: readonly Meta[], body: unknown): void {
    const pending = this.#settle(id)
    if (pending === undefined) return
    try {
      pending.resolve(this.#party.unbox?.(metas, body))
    } catch (error) {
      pending.reject(error)
    }
  }

  #serve(id: number, verb: string, metas: readonly Meta[], body: unknown): void {
    const call = new Serving(verb, metas)
    let result: unknown
    try {
      result = this.#party.request(call, body)
    } catch (error) {
      this.#fail(id, error)
      return
    }
    if (!isThenable(result)) {
      this.#reply(id, result)
      return
    }
    this.#serving.set(id, call)
    const finished = (act: () => void): void => {
      // Cancelled meanwhile: nobody waits for it.
      if (this.#serving.delete(id)) act()
    }
    result.then(
      (value) => finished(() => this.#reply(id, value)),
      (error: unknown) => finished(() => this.#fail(id, error)),
    )
  }

  #reply(id: number, value: unknown): void {
    beat()
    if (this.#over) return
    try {
      if (value instanceof Boxed) this.#write(REPLY, id, '', value.metas, value.value, value.transfer)
      else this.#write(REPLY, id, '', NO_METAS, value)
    } catch (error) {
      this.#fail(id, error)
    }
  }

  #fail(id: number, error: unknown): void {
    if (this.#over === undefined) this.#write(FAILURE, id, '', NO_METAS, toWire(error, this.#party.plugin))
  }

  // ── the requests under way ───────────────────────────────────────────────────────────────────────────────────────

  #settle(id: number): Pending | undefined {
    const pending = this.#pending.take(id)
    if (pending === undefined) return undefined
    if (pending.unlisten !== undefined) pending.unlisten()
    if (this.#pending.size === 0 && this.#idle !== undefined) this.#idle()
    return pending
  }

  #abandon(id: number, error: PlugbayError): void {
    const pending = this.#settle(id)
    if (pending === undefined) return
    pending.reject(error)
    if (this.#over === undefined) this.#write(CANCEL, id, '', NO_METAS, toWire(error))
  }

  #cancelled(verb: string, signal: AbortSignal): PlugbayError {
    return new PlugbayError('CALL_CANCELLED', `The call of '${verb}' on ${this.#label} was cancelled by its caller.`, {
      cause: signal.reason,
    })
  }

  /** One timer serves all deadlines: it stands on the earliest. */
  #arm(deadline: number): void {
    clearTimeout(this.#timer)
    this.#nextDeadline = deadline
    this.#timer = setTimeout(() => this.#overdue(), Math.max(1, deadline - now()))
    this.#timer.unref()
  }

  #overdue(): void {
    const time = now()
    const entries = this.#pending.entries()
    // A thread that was kept busy may come to several at once: what ran out first fails first.
    const overdue = entries.filter(([, { deadline }]) => deadline <= time).sort(([, a], [, b]) => a.deadline - b.deadline)
    for (const [id, { verb, timeout }] of overdue) {
      this.#abandon(
        id,
        new PlugbayError(
          'CALL_TIMEOUT',
          `${this.#label} did not answer '${verb}' within ${timeout} ms. Raise the call's timeout, or find what keeps the provider busy.`,
          { details: { verb, timeout } },
        ),
      )
    }
    this.#nextDeadline = Infinity
    const next = Math.min(...entries.map(([, { deadline }]) => (deadline > time ? deadline : Infinity)))
    if (next < Infinity) this.#arm(next)
  }

  #broken(error: unknown): void {
    this.#end(
      new PlugbayError('PROTOCOL', `${this.#label} sent a message that breaks the protocol: ${(error as Error).message}.`, {
        cause: error,
      }),
    )
    this.#channel.close()
  }

  #end(reason: PlugbayError): void {
    if (this.#over) return
    this.#over = reason
    clearTimeout(this.#timer)
    this.#reset()
    for (const [id] of this.#pending.entries()) this.#settle(id)?.reject(reason)
    for (const call of this.#serving.values()) call.cancel(reason)
    this.#serving.clear()
    this.#party.ended?.(reason)
  }
}

const sizeOf = (leaves: readonly unknown[]): number => {
  let size = 0
  for (const leaf of leaves) size += typeof leaf === 'string' ? leaf.length + LEAF_BYTES : isLive(leaf) ? liveSize(leaf) : LEAF_BYTES
  return size
}
