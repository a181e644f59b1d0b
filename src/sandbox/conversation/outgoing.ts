/** What one end of a conversation has to say: encoded, weighed against its limit, and gathered until it leaves. */
import type { Transferable } from 'node:worker_threads'
import type { PlugbayError } from '../../errors.js'
import { isTooDeep, tooDeep } from '../../nesting.js'
import type { Batch, Channel } from '../channel.js'
import { movedBytes } from '../values/call-window.js'
import { cloneSize } from '../values/clone-size.js'
import { encode, encodeArguments, encodedSize, isLive, LEAF_BYTES, leafCount, type Packed, sentSize, takeLeaves } from '../values/codec.js'
import { LEAF_SHAPE, type Shape } from '../values/shape.js'
import { uncloneablePart } from '../values/uncloneable-part.js'
import { notCloneable, tooLarge, tooLargeForCall } from '../values/unsendable.js'
import { depart, departed, type Writer } from './departures.js'
import { FrameWriter, type Kind, type Meta, NO_METAS, NOTICE, REPLY, REQUEST } from './frames.js'

/** What a path into a body begins with. */
const rootOf = (kind: Kind, body: unknown): string => {
  if (kind === NOTICE) return 'data'
  return kind === REPLY ? 'result' : Array.isArray(body) ? 'arguments' : 'value'
}

/**
 * Frames of one turn travel together, but where waiting gains nothing. What writes throws PAYLOAD_NOT_CLONEABLE and PAYLOAD_TOO_LARGE, and
 * has written nothing then.
 */
export class Outgoing implements Writer {
  /** Whoever writes will flush or {@link plan}: nobody else has to. */
  held = false
  readonly #channel: Channel
  readonly #label: string
  readonly #left: (at: number) => void
  readonly #out = new FrameWriter()
  /** It waits to be told to leave. */
  #waits = false
  #urgent = false

  /** `label` names the other end in error messages. `left` is told the time when frames have left. */
  constructor(channel: Channel, label: string, left: (at: number) => void) {
    this.#channel = channel
    this.#label = label
    this.#left = left
  }

  /** How many frames wait. */
  get frames(): number {
    return this.#out.frames
  }

  // ── leaving ──────────────────────────────────────────────────────────────────────────────────────────────────────

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
    const batch = this.take()
    this.left()
    this.#channel.send(batch)
  }

  /** What waits is sent at the end of the turn, as others wait for it. */
  hurry(): void {
    if (this.frames === 0) return
    this.#urgent = true
    this.#plan()
  }

  /** Nothing waits any more: what did is the caller's. */
  take(): Batch {
    this.#urgent = false
    return this.#out.take()
  }

  /** The clock is read here alone: it costs as much as the rest of a frame. */
  left(): void {
    this.#left(departed())
  }

  #plan(): void {
    depart(this, this.#waits)
    this.#waits = true
  }

  #written(bytes: number): void {
    if (this.#out.end(bytes)) this.flush()
    else if (!this.held) this.#plan()
  }

  // ── writing ──────────────────────────────────────────────────────────────────────────────────────────────────────

  /** Returns the size of the body, in bytes. */
  write(
    kind: Kind,
    id: number,
    verb: string,
    metas: readonly Meta[],
    body: unknown,
    transfer?: readonly Transferable[],
    limit = Infinity,
  ): number {
    if (transfer !== undefined) return this.writeLive(kind, id, verb, metas, body, transfer, limit)
    const type = typeof body
    if (type === 'object' ? body === null : type !== 'function' && type !== 'symbol') {
      const size = type === 'string' ? (body as string).length + LEAF_BYTES : LEAF_BYTES
      if (size > limit) throw this.tooLarge(kind, verb, size, limit)
      this.#out.begin(kind, id, verb, metas, LEAF_SHAPE, 1).push(body)
      this.#written(size)
      return size
    }
    const shape = encode(body)
    return shape === undefined
      ? this.writeLive(kind, id, verb, metas, body, undefined, limit)
      : this.#writeEncoded(kind, id, verb, metas, shape, limit)
  }

  /** A request whose body is its arguments. Returns their size. */
  writeArguments(id: number, verb: string, args: readonly unknown[], limit: number): number {
    const shape = encodeArguments(args)
    return shape === undefined
      ? this.writeLive(REQUEST, id, verb, NO_METAS, args, undefined, limit)
      : this.#writeEncoded(REQUEST, id, verb, NO_METAS, shape, limit)
  }

  /** Of what was encoded last. Returns its size. */
  #writeEncoded(kind: Kind, id: number, verb: string, metas: readonly Meta[], { text }: Shape, limit: number): number {
    const size = encodedSize()
    if (size > limit) {
      takeLeaves([])
      throw this.tooLarge(kind, verb, size, limit)
    }
    takeLeaves(this.#out.begin(kind, id, verb, metas, text, leafCount()))
    this.#written(size)
    return size
  }

  /** A body that was packed before. */
  writePacked(kind: Kind, id: number, verb: string, metas: readonly Meta[], packed: Packed): void {
    const { shape, leaves, size } = packed
    const live = shape === LEAF_SHAPE && isLive(leaves[0])
    if (live) this.flush()
    const out = this.#out.begin(kind, id, verb, metas, shape, leaves.length)
    for (let i = 0; i < leaves.length; i++) out.push(leaves[i])
    this.#written(size)
    if (live) this.flush()
  }

  /** A value that is not plain travels alone and at once, before its owner can change it. */
  writeLive(
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
    if (size > limit) throw this.tooLarge(kind, verb, size, limit)
    if (isTooDeep(body)) throw this.uncloneable(kind, verb, metas, body, tooDeep())
    this.flush()
    this.#out.begin(kind, id, verb, metas, LEAF_SHAPE, 1).push(body)
    try {
      this.#channel.send(this.take(), transfer)
    } catch (error) {
      throw this.uncloneable(kind, verb, metas, body, error)
    }
    return size + movedBytes(transfer)
  }

  // ── what cannot leave ────────────────────────────────────────────────────────────────────────────────────────────

  tooLarge(kind: Kind, verb: string, size: number, limit: number): PlugbayError {
    const about = { details: { verb } }
    if (kind === REQUEST) return tooLargeForCall(`The arguments of '${verb}' of ${this.#label} are`, size, limit, about)
    return tooLarge(`A value for '${verb}' of ${this.#label}`, size, limit, about)
  }

  uncloneable(kind: Kind, verb: string, metas: readonly Meta[], body: unknown, error: unknown): PlugbayError {
    // What is boxed is not as its sender knows it.
    const path = kind === NOTICE || metas.length === 0 ? uncloneablePart(body, rootOf(kind, body)) : undefined
    return notCloneable(`A value for '${verb}' of ${this.#label}`, error, { details: { verb }, path })
  }
}
