/** Arguments and results that are more than data: callbacks, objects by reference, async iterables, abort signals, moved objects. */
import { MessageChannel, type MessagePort, type Transferable } from 'node:worker_threads'
import { keepFollowed } from '../../composite-signals.js'
import { PlugbayError } from '../../errors.js'
import { markOf, type ReferenceMark, type TransferMark } from '../../passing.js'
import { fromWire, toWire, type WireError } from '../../wire-error.js'
import type { CallWindow } from '../values/call-window.js'
import { assertMovable, isReadable } from './moved-streams.js'
import type { Peer } from './peers.js'
import { exposeByReference, wrapCallback, wrapReference } from './references.js'
import { receiveStream, sendStream } from './streams.js'

/** How a boxed value is to be made again at the other end, over the port that is its content. */
type Kind = 'callback' | 'reference' | 'stream' | 'signal'
/**
 * Without a port: `aborted`, a signal that was so when it was sent, with its reason; `refused`: on its way it met what it could not cross,
 * and the content says why.
 */
export type Box = [kind: Kind | 'data' | 'aborted' | 'refused', content: unknown]

/** The metas of what is boxed. */
export const BOXED = ['boxed'] as const

type Counted = keyof Peer['open']

/**
 * What may be open between two places at a time. Who opens a stream reads it, or leaves it. A reference that nobody has any more is let go
 * of when its thread next collects all of its garbage: in one that is passed a new one with every call, some 15,000 calls later.
 */
export const MOST_OPEN: Record<Counted, number> = { streams: 4_096, references: 32_768 }

const MEND: Record<Counted, string> = {
  streams: 'Read each to its end, or leave its loop, before you open more',
  references: 'Pass one object for many calls, and keep none that is not needed',
}

const countedAs = (kind: Kind): Counted => (kind === 'stream' ? 'streams' : 'references')

/** What one line has handed out or received by reference; it all ends with the line. */
export class Holdings {
  readonly #peer: Peer
  /** The other end. */
  readonly label: string
  /** The plugin there. */
  readonly other: string | undefined
  readonly #ports = new Map<MessagePort, Kind>()
  #streams = 0
  #drained: (() => void)[] = []

  constructor(peer: Peer, label: string, other?: string) {
    this.#peer = peer
    this.label = label
    this.other = other
  }

  /** Calls of what was passed by reference, from this end. */
  get window(): CallWindow {
    return this.#peer.references
  }

  hold(port: MessagePort, kind: Kind): void {
    const { open } = this.#peer
    const counted = countedAs(kind)
    open[counted]++
    this.#ports.set(port, kind)
    if (kind === 'stream') this.#streams++
    port.once('close', () => {
      open[counted]--
      if (this.#ports.delete(port) && kind === 'stream') this.#streamEnded()
    })
  }

  /** Throws PLUGIN_LIMIT when no more of that kind may be open. */
  assertRoom(kind: Kind): void {
    const counted = countedAs(kind)
    const allowed = MOST_OPEN[counted]
    if (this.#peer.open[counted] < allowed) return
    const what = kind === 'stream' ? 'streams' : 'callbacks, objects by reference and abort signals'
    throw new PlugbayError(
      'PLUGIN_LIMIT',
      `No more ${what} can pass between here and ${this.label}: ${allowed} are open between the two, and that is the limit. ${MEND[counted]}.`,
      { details: { limit: counted, allowed } },
    )
  }

  #streamEnded(): void {
    if (--this.#streams === 0) for (const resolve of this.#drained.splice(0)) resolve()
  }

  /** Resolves when every stream has ended. A callback or a reference has no end of its own, so nobody waits for it. */
  drain(): Promise<void> {
    return this.#streams === 0 ? Promise.resolve() : new Promise((resolve) => this.#drained.push(resolve))
  }

  end(): void {
    for (const port of this.#ports.keys()) port.close()
  }
}

/** True for a value that must be boxed: a quick look at the top level only, because data is by far the most common. */
export const needsBox = (value: unknown): boolean => {
  if (typeof value === 'function') return true
  if (typeof value !== 'object' || value === null) return false
  const prototype: unknown = Object.getPrototypeOf(value)
  if (prototype === Array.prototype) return false
  if (prototype === Object.prototype && markOf(value) === undefined && !(Symbol.asyncIterator in value)) return false
  return markOf(value) !== undefined || Symbol.asyncIterator in value || value instanceof AbortSignal
}

/** Boxes one value; what has to be moved with it is added to `moved`. */
export const box = async (value: unknown, holdings: Holdings, moved: Transferable[], plugin: string | undefined): Promise<Box> => {
  if (!needsBox(value)) return ['data', value]
  const object = value as object
  const mark = markOf(object)
  if (mark === 'transfer') {
    const { value: content, objects } = value as TransferMark
    if (isReadable(content, objects)) return box(content, holdings, moved, plugin)
    assertMovable(objects, `What is to move to ${holdings.label}`, plugin)
    moved.push(...(objects as Transferable[]))
    return ['data', content]
  }
  if (value instanceof AbortSignal && value.aborted) return ['aborted', toWire(value.reason)]
  const kind: Kind =
    typeof value === 'function' ? 'callback' : mark === 'reference' ? 'reference' : value instanceof AbortSignal ? 'signal' : 'stream'
  holdings.assertRoom(kind)
  const { port1, port2 } = new MessageChannel()
  moved.push(port2)
  holdings.hold(port1, kind)
  try {
    if (kind === 'callback') await exposeByReference({ call: value }, port1, plugin)
    else if (kind === 'reference') await exposeByReference((value as ReferenceMark).value, port1, plugin)
    else if (kind === 'signal') sendSignal(value as AbortSignal, port1)
    else sendStream(value as AsyncIterable<unknown>, port1, plugin)
  } catch (error) {
    // Of a stream that somebody reads already there is no second reader.
    port1.close()
    throw error
  }
  return [kind, port2]
}

/** Boxes the arguments of a call: all, or none. */
export const boxAll = async (values: readonly unknown[], holdings: Holdings, moved: Transferable[]): Promise<Box[]> => {
  const boxing = values.map((value) => box(value, holdings, moved, undefined))
  try {
    return await Promise.all(boxing)
  } catch (error) {
    for (const boxed of await Promise.allSettled(boxing)) if (boxed.status === 'fulfilled') drop(boxed.value)
    throw error
  }
}

/** Nobody will open it: what lives at its port ends. */
export const drop = ([kind, content]: Box): void => {
  if (kind !== 'data' && kind !== 'aborted' && kind !== 'refused') (content as MessagePort).close()
}

/** The value of a box. A stream ends with the signal. */
export const unbox = async ([kind, content]: Box, holdings: Holdings, label: string, signal?: AbortSignal): Promise<unknown> => {
  if (kind === 'data') return content
  if (kind === 'aborted') return AbortSignal.abort(fromWire(content as WireError))
  if (kind === 'refused') throw fromWire(content as WireError)
  const port = content as MessagePort
  holdings.hold(port, kind)
  switch (kind) {
    case 'callback':
      return await wrapCallback(port, label, holdings.window, holdings.other)
    case 'reference':
      return await wrapReference(port, label, holdings.window, holdings.other)
    case 'signal':
      return receiveSignal(port)
    default:
      return receiveStream(port, label, signal, holdings.other)
  }
}

// ── abort signals ──────────────────────────────────────────────────────────────────────────────────────────────────

const sendSignal = (signal: AbortSignal, port: MessagePort): void => {
  const abort = (): void => {
    port.postMessage(toWire(signal.reason))
    port.close()
  }
  port.unref()
  keepFollowed(signal)
  signal.addEventListener('abort', abort, { once: true })
  port.once('close', () => signal.removeEventListener('abort', abort))
}

/** Lets go of the port of a signal that nobody has or listens to any more. */
const unheard = new FinalizationRegistry<MessagePort>((port) => port.close())

const receiveSignal = (port: MessagePort): AbortSignal => {
  const controller = new AbortController()
  port.once('message', (reason: WireError) => {
    controller.abort(fromWire(reason))
    port.close()
  })
  port.unref()
  // The port knows the controller; a signal that follows it lives as long as somebody has it, or listens to it.
  const signal = AbortSignal.any([controller.signal])
  unheard.register(signal, port)
  return signal
}
