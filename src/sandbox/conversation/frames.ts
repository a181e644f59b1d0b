/** The frames of a batch: how they are laid one after the other, written and read. What arrives is parsed, not trusted. */
import { isTooDeep, tooDeep } from '../../nesting.js'
import type { Batch } from '../channel.js'
import { beat } from '../pulse.js'
import { isLive, LEAF_BYTES, liveSize, Packed } from '../values/codec.js'
import { assertShaped, buildValue, LEAF_SHAPE, LEAVES_SHAPE, ShapeError, type ShapeText } from '../values/shape.js'

/*
 * A batch is a flat array of frames. A frame leaves out what is as in the frame before it, since bursts are made of like frames:
 *
 *   head, [id], [verb], …metas, [shape], [count of leaves], …leaves
 *
 * `head` is a small integer: the kind in its lowest bits, then a bit for each part that is left out, then one for each meta that is, or how
 * many metas there are where the verb is not left out. A notice has no id unless it is numbered, and one that follows the id before it is
 * left out; the shape of a leaf has no count, nor has that of an array of leaves, which begins with its length. A batch stands for itself:
 * nothing in it refers to an earlier one. Before its first frame the id is 0, the verb empty, without metas, and the shape what it is in
 * most: that of an array of leaves in a request, else that of a leaf.
 */
export const REQUEST = 1
export const REPLY = 2
export const FAILURE = 3
export const NOTICE = 4
export const CANCEL = 5
/** A notice with a number of its sender's, which is cheap when it counts upwards. */
export const NUMBERED = 6
export type Kind = typeof REQUEST | typeof REPLY | typeof FAILURE | typeof NOTICE | typeof CANCEL | typeof NUMBERED

const KIND = 0b111
const SAME_VERB = 1 << 3
const SAME_SHAPE = 1 << 4
const SAME_COUNT = 1 << 5
const NEXT_ID = 1 << 6
/** The bit of the first meta, and the others follow; or the count of metas. */
const META_SHIFT = 7
const SAME_META = 1 << META_SHIFT

/** What one frame says beside its body. Primitives, never undefined. */
export type Meta = string | number | boolean | null
export const NO_METAS: readonly Meta[] = []

const shapeBefore = (kind: number): ShapeText => (kind === REQUEST ? LEAVES_SHAPE : LEAF_SHAPE)

// ── writing ────────────────────────────────────────────────────────────────────────────────────────────────────────

/**
 * A batch is posted when it holds this much, even before the end of the turn. With twice as much, one more frame of 64 KB would make a
 * message for which the allocator asks the system for memory and gives it back, each time.
 */
const BATCH_BYTES = 32 * 1_024
const BATCH_FRAMES = 256

/** Writes frames into a batch, each without what is as in the frame before it. */
export class FrameWriter {
  #batch: Batch = []
  #frames = 0
  #bytes = 0
  /** What the last frame said. */
  #verb = ''
  #metas: readonly Meta[] = NO_METAS
  #id = 0
  #shape: ShapeText = LEAF_SHAPE
  #count = 0

  /** How many frames are in the batch. */
  get frames(): number {
    return this.#frames
  }

  /**
   * Writes a frame but for the leaves of its body, `count` of them: they are to be appended to what this returns, then {@link end} is
   * called.
   */
  begin(kind: Kind, id: number, verb: string, metas: readonly Meta[], shape: ShapeText, count: number): Batch {
    const batch = this.#batch
    const last = this.#metas
    const at = batch.length
    if (at === 0) this.#shape = shapeBefore(kind)
    let head: number = kind
    batch.push(head)
    if (kind !== NOTICE) {
      if (id === this.#id + 1) head |= NEXT_ID
      else batch.push(id)
      this.#id = id
    }
    if (verb === this.#verb && metas === last) head |= SAME_VERB | (((1 << metas.length) - 1) << META_SHIFT)
    else if (verb === this.#verb && metas.length === last.length) {
      head |= SAME_VERB
      for (let i = 0; i < metas.length; i++) {
        if (metas[i] === last[i]) head |= SAME_META << i
        else batch.push(metas[i])
      }
    } else {
      head |= metas.length << META_SHIFT
      batch.push(verb)
      for (let i = 0; i < metas.length; i++) batch.push(metas[i])
      this.#verb = verb
    }
    this.#metas = metas
    if (shape === this.#shape) head |= SAME_SHAPE
    else batch.push((this.#shape = shape))
    if (shape !== LEAF_SHAPE && shape !== LEAVES_SHAPE) {
      if (count === this.#count && (head & SAME_SHAPE) !== 0) head |= SAME_COUNT
      else batch.push((this.#count = count))
    }
    batch[at] = head
    return batch
  }

  /** The frame is whole, and its body weighs that much. True when the batch is full. */
  end(bytes: number): boolean {
    this.#frames++
    this.#bytes += bytes
    return this.#bytes >= BATCH_BYTES || this.#frames >= BATCH_FRAMES
  }

  /** Hands the batch over, and begins another. */
  take(): Batch {
    const batch = this.#batch
    this.#batch = []
    this.#frames = 0
    this.#bytes = 0
    this.#id = 0
    this.#verb = ''
    this.#metas = NO_METAS
    return batch
  }
}

// ── reading ────────────────────────────────────────────────────────────────────────────────────────────────────────

const NO_BATCH: Batch = []

/** As it was before the plugin's code could change it. */
const clone = structuredClone

/** The body of a frame, in the batch it came in: nothing is built of it before somebody asks. */
export class Body {
  #batch: Batch = NO_BATCH
  #shape: ShapeText = LEAF_SHAPE
  #at = 0
  #count = 0

  /** Points to the next body. For the reader only. */
  point(batch: Batch, shape: ShapeText, at: number, count: number): void {
    this.#batch = batch
    this.#shape = shape
    this.#at = at
    this.#count = count
  }

  /** Forgets the batch: kept until the next one, it would be copied by every collection of the young generation. For the reader only. */
  release(): void {
    this.#batch = NO_BATCH
    this.#shape = LEAF_SHAPE
  }

  /** The value. */
  open(): unknown {
    return this.#shape === LEAF_SHAPE ? this.#batch[this.#at] : buildValue(this.#shape, this.#batch, this.#at, this.#at + this.#count)
  }

  /** The value, for one of several that get it: what one does to it, the others do not see. */
  copy(): unknown {
    const value = this.open()
    return this.#shape === LEAF_SHAPE && isLive(value) ? clone(value) : value
  }

  /** How many bytes it has, roughly: nothing is built of it for that. */
  get size(): number {
    const end = this.#at + this.#count
    let size = 0
    for (let at = this.#at; at < end; at++) size += sizeOf(this.#batch[at])
    return size
  }

  /** The value as it came, to be kept or passed on: not built, but so that it can be. */
  pack(): Packed {
    const end = this.#at + this.#count
    if (this.#shape !== LEAF_SHAPE) assertShaped(this.#shape, this.#batch, this.#at, end)
    const leaves = this.#batch.slice(this.#at, end)
    return new Packed(this.#shape, leaves, this.size)
  }
}

const sizeOf = (leaf: unknown): number =>
  typeof leaf === 'string' ? leaf.length + LEAF_BYTES : isLive(leaf) ? sizeOfLive(leaf) : LEAF_BYTES

/** Throws ShapeError for a value that no encoder lets pass: it is not passed on either. */
const sizeOfLive = (leaf: unknown): number => {
  if (isTooDeep(leaf)) throw new ShapeError(`of a value, ${tooDeep().message}`)
  return liveSize(leaf)
}

/** Takes a frame; its body is valid during the call only. Returns whether it goes on: false ends the reading of the batch. */
export type FrameTaker = (kind: number, id: number, verb: string, metas: readonly Meta[], body: Body) => boolean

export class FrameReader {
  readonly #take: FrameTaker
  readonly #body = new Body()

  constructor(take: FrameTaker) {
    this.#take = take
  }

  /** Gives all frames of the batch to the taker. Throws for what breaks the format, and what the taker throws. */
  read(batch: Batch): void {
    try {
      this.#read(batch)
    } finally {
      this.#body.release()
    }
  }

  #read(batch: Batch): void {
    if (!Array.isArray(batch)) throw new TypeError('it is no batch')
    const length = batch.length
    let at = 0
    let id = 0
    let verb = ''
    let metas: readonly Meta[] = NO_METAS
    let shape = shapeBefore((batch[0] as number) & KIND)
    let count = 0
    let frames = 0
    while (at < length) {
      beat()
      // Between two batches others have their turn.
      if (++frames > BATCH_FRAMES) throw new RangeError(`a batch has more than ${BATCH_FRAMES} frames`)
      const head = batch[at++] as number
      const kind = head & KIND
      if (kind !== NOTICE) id = (head & NEXT_ID) === 0 ? (batch[at++] as number) : id + 1
      if ((head & SAME_VERB) === 0) {
        verb = batch[at++] as string
        if (typeof verb !== 'string') throw new TypeError('a verb is no text')
        const metaCount = head >>> META_SHIFT
        metas = metaCount === 0 ? NO_METAS : (batch.slice(at, at + metaCount) as Meta[])
        at += metaCount
      } else if (head >> META_SHIFT !== (1 << metas.length) - 1) {
        const next = metas.slice()
        for (let i = 0; i < next.length; i++) if ((head & (SAME_META << i)) === 0) next[i] = batch[at++] as Meta
        metas = next
      }
      if ((head & SAME_SHAPE) === 0) shape = batch[at++] as string
      if (shape === LEAF_SHAPE) count = 1
      else if (shape === LEAVES_SHAPE) count = 1 + countIn(batch, at)
      else if ((head & SAME_COUNT) === 0) count = countIn(batch, at++)
      const start = at
      at += count
      if (!(at <= length)) throw new RangeError('a frame is longer than its batch')
      this.#body.point(batch, shape, start, count)
      if (!this.#take(kind, id, verb, metas, this.#body)) return
    }
  }
}

/** A number of things in the rest of a batch: one that is not believed could lead back, or on for ever. */
const countIn = (batch: Batch, at: number): number => {
  const count = batch[at]
  if (!(Number.isInteger(count) && (count as number) >= 0 && (count as number) < batch.length - at))
    throw new RangeError('a count is not valid')
  return count as number
}
