/** What goes on in place of a message that cannot cross to another process: an answer to each call in it, where somebody waits for one. */
import { PlugbayError } from '../errors.js'
import { reasonOf, toWire, type WireError } from '../wire-error.js'
import type { Batch } from './channel.js'
import { FAILURE, FrameReader, FrameWriter, type Kind, type Meta, NO_METAS, REPLY, REQUEST } from './conversation/frames.js'
import { BOXED, type Box } from './lines/boxing.js'
import { answerTo, isAnswer, isCall } from './lines/reference-wire.js'
import { LEAF_SHAPE, type ShapeText } from './values/shape.js'

/** The two ways from a relay. Either throws for what cannot go there. */
export interface Ways {
  on(message: unknown): void
  back(message: unknown): void
}

const refusal = (what: string, error: unknown): WireError =>
  toWire(
    new PlugbayError(
      'PAYLOAD_NOT_CLONEABLE',
      `${what} cannot cross: ${reasonOf(error)} Send plain data in its place, such as the bytes of a Blob, or less of it at once.`,
    ),
  )
const refusedCall = (method: string, error: unknown): WireError => refusal(`An argument of '${method}'`, error)
const refusedResult = (error: unknown): WireError => refusal('A result', error)

const frameOf = (kind: Kind, id: number, verb: string, metas: readonly Meta[], shape: ShapeText, leaves: readonly unknown[]): Batch => {
  const writer = new FrameWriter()
  writer.begin(kind, id, verb, metas, shape, leaves.length).push(...leaves)
  return writer.take()
}

/**
 * Passes on what can be of a message that cannot as a whole, which `error` says. Returns false where nobody could be told: it is no
 * conversation of ours, or breaks its protocol.
 */
export const passOn = (message: unknown, error: unknown, { on, back }: Ways): boolean => {
  try {
    if (Array.isArray(message)) batches(on).read(message)
    else if (isCall(message)) back(answerTo(message, { error: refusedCall(message.path[0], error) }))
    else if (isAnswer(message)) on(answerTo(message, { error: refusedResult(error) }))
    else return false
    return true
  } catch {
    return false
  }
}

const batches = (on: Ways['on']): FrameReader =>
  new FrameReader((kind, id, verb, metas, body) => {
    const { shape, leaves } = body.pack()
    try {
      on(frameOf(kind as Kind, id, verb, metas, shape, leaves))
    } catch (error) {
      // It goes on as one that fails, not back: who gives it up meanwhile says so to the other end, which is to know of it.
      if (kind === REQUEST) on(frameOf(REQUEST, id, verb, BOXED, LEAF_SHAPE, [[['refused', refusedCall(verb, error)] satisfies Box]]))
      else if (kind === REPLY || kind === FAILURE) on(frameOf(FAILURE, id, '', NO_METAS, LEAF_SHAPE, [refusedResult(error)]))
      else throw error
    }
    return true
  })
