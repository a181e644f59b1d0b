/** Arguments and results that are more than data: callbacks, objects by reference, async iterables, abort signals, moved objects. */
import { MessageChannel, type MessagePort, type Transferable } from 'node:worker_threads'
import { PlugbayError } from '../errors.js'
import { markOf, type ReferenceMark, type TransferMark } from '../passing.js'
import { fromWire, toWire, type WireError } from '../wire-error.js'
import { CALL_LIMIT, CallWindow } from './call-window.js'
import { portChannel } from './channel.js'
import { cloneSize } from './clone-size.js'
import type { Party } from './party.js'
import { Conversation } from './rpc.js'
import { asBeginning } from './sentence.js'
import { isAskedOfAll, shownAs } from './shown.js'
import { uncloneablePart } from './uncloneable-part.js'
import { notCloneable, tooLargeForCall } from './unsendable.js'

/** How a boxed value is to be made again at the other end. */
type Kind = 'data' | 'callback' | 'reference' | 'stream' | 'signal'
export type Box = [kind: Kind, content: unknown]

/** What one line has handed out or received by reference; it all ends with the line. */
export class Holdings {
  /** What is under way by reference, from this end. */
  readonly window = new CallWindow(() => {})
  readonly #ports = new Map<MessagePort, Kind>()
  #streams = 0
  #drained: (() => void)[] = []

  hold(port: MessagePort, kind: Kind): void {
    this.#ports.set(port, kind)
    if (kind === 'stream') this.#streams++
    port.once('close', () => {
      if (this.#ports.delete(port) && kind === 'stream') this.#streamEnded()
    })
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
    moved.push(...(objects as Transferable[]))
    return ['data', content]
  }
  const { port1, port2 } = new MessageChannel()
  moved.push(port2)
  const kind: Kind =
    typeof value === 'function' ? 'callback' : mark === 'reference' ? 'reference' : value instanceof AbortSignal ? 'signal' : 'stream'
  holdings.hold(port1, kind)
  if (kind === 'callback') await exposeByReference({ call: value }, port1, plugin)
  else if (kind === 'reference') await exposeByReference((value as ReferenceMark).value, port1, plugin)
  else if (kind === 'signal') sendSignal(value as AbortSignal, port1)
  else sendStream(value as AsyncIterable<unknown>, port1, plugin)
  return [kind, port2]
}

/** The value of a box. A stream ends with the signal. */
export const unbox = async ([kind, content]: Box, holdings: Holdings, label: string, signal?: AbortSignal): Promise<unknown> => {
  if (kind === 'data') return content
  const port = content as MessagePort
  holdings.hold(port, kind)
  switch (kind) {
    case 'callback': {
      const remote = (await wrapReference(port, label, holdings.window)) as { call: (...args: unknown[]) => Promise<unknown> }
      return (...args: unknown[]) => remote.call(...args)
    }
    case 'reference':
      return await wrapReference(port, label, holdings.window)
    case 'signal':
      return receiveSignal(port)
    default:
      return receiveStream(port, label, signal)
  }
}

// ── by reference, over comlink ─────────────────────────────────────────────────────────────────────────────────────

/** What a call by reference answers: comlink alone would drop an error's code and cause. */
type Outcome = { value: unknown } | { error: WireError }

const attempt = async (act: () => unknown, plugin: string | undefined): Promise<Outcome> => {
  try {
    return { value: await act() }
  } catch (error) {
    return { error: toWire(error, plugin) }
  }
}

const noMethod = (key: string): never => {
  throw new PlugbayError('SERVICE_METHOD_UNKNOWN', `The object passed by reference has no method '${key}'.`, { details: { method: key } })
}

const exposeByReference = async (target: object, port: MessagePort, plugin: string | undefined): Promise<void> => {
  const { expose } = await import('comlink')
  const guarded = new Proxy(target, {
    get: (object, key) => {
      const member: unknown = Reflect.get(object, key)
      return (...args: unknown[]) =>
        attempt(() => (typeof member === 'function' ? Reflect.apply(member, object, args) : noMethod(String(key))), plugin)
    },
  })
  // A MessagePort of Node is an EventTarget with start(), which is all that comlink asks of an endpoint.
  expose(guarded, port)
}

const wrapReference = async (port: MessagePort, label: string, window: CallWindow): Promise<unknown> => {
  const { wrap } = await import('comlink')
  const remote = wrap<Record<string, (...args: unknown[]) => Promise<Outcome>>>(port)
  const waiting = new Set<(error: PlugbayError) => void>()
  let over: PlugbayError | undefined
  port.once('close', () => {
    over = new PlugbayError('SERVICE_GONE', `${asBeginning(label)} is gone, and with it the object it had passed by reference.`)
    for (const fail of waiting) fail(over)
  })
  const call = (key: string, args: unknown[]): Promise<unknown> =>
    new Promise((resolve, reject) => {
      const uncloneable = (error: unknown): PlugbayError =>
        notCloneable(`An argument of '${key}' of ${label}`, error, { path: uncloneablePart(args, 'arguments') })
      const size = cloneSize(args, CALL_LIMIT)
      if (over || size > CALL_LIMIT) {
        reject(over ?? tooLargeForCall(`The arguments of '${key}' of ${label} are`, size, CALL_LIMIT, { details: { method: key } }))
        return
      }
      let left = false
      /** Its room is free again. True for the first who says so: what follows is its end. */
      const ends = (): boolean => {
        if (!waiting.delete(fail)) return false
        if (left) window.left(size)
        else window.forget(turn)
        return true
      }
      const fail = (error: PlugbayError): void => void (ends() && reject(error))
      const send = (sent: unknown[]): void => {
        left = true
        window.enter(size)
        Promise.resolve(remote[key]?.(...sent)).then(
          (outcome) => {
            if (!ends()) return
            if (typeof outcome === 'object' && 'error' in outcome) reject(fromWire(outcome.error))
            else resolve(outcome?.value)
          },
          (error: unknown) => fail(uncloneable(error)),
        )
      }
      const turn = { leave: (): void => send(args) }
      waiting.add(fail)
      if (window.open) {
        send(args)
        return
      }
      try {
        // As they are now: their owner may change them before it is their turn.
        const clone = structuredClone(args)
        turn.leave = () => send(clone)
        window.wait(turn)
      } catch (error) {
        fail(uncloneable(error))
      }
    })
  // `then` stays undefined: a remote object is no promise, and awaiting it must give itself.
  return new Proxy(shownAs(`[object of ${label}]`), {
    get: (shown, key) => {
      if (key in shown) return Reflect.get(shown, key)
      return isAskedOfAll(key) ? undefined : (...args: unknown[]) => call(key as string, args)
    },
  })
}

// ── abort signals ──────────────────────────────────────────────────────────────────────────────────────────────────

const sendSignal = (signal: AbortSignal, port: MessagePort): void => {
  const abort = (): void => {
    port.postMessage(toWire(signal.reason))
    port.close()
  }
  port.unref()
  if (signal.aborted) abort()
  else {
    signal.addEventListener('abort', abort, { once: true })
    port.once('close', () => signal.removeEventListener('abort', abort))
  }
}

const receiveSignal = (port: MessagePort): AbortSignal => {
  const controller = new AbortController()
  port.once('message', (reason: WireError) => {
    controller.abort(fromWire(reason))
    port.close()
  })
  port.unref()
  return controller.signal
}

// ── async iterables ────────────────────────────────────────────────────────────────────────────────────────────────

/** How many items a consumer asks for ahead: enough to keep the line busy, few enough to hold back a fast producer. */
const AHEAD = 16

const sendStream = (source: AsyncIterable<unknown>, port: MessagePort, plugin: string | undefined): void => {
  const iterator = source[Symbol.asyncIterator]()
  let turn: Promise<unknown> = Promise.resolve()
  let done = false
  const next = async (): Promise<IteratorResult<unknown, unknown>> => {
    if (done) return { done: true, value: undefined }
    try {
      const result = await iterator.next()
      done = result.done === true
      return { done, value: result.value }
    } catch (error) {
      done = true
      throw error
    }
  }
  const party: Party = {
    plugin,
    request: () => (turn = turn.then(next, next)),
    ended: () => {
      if (done) return
      done = true
      // The consumer left early: the producer's finally blocks run; what they throw has no reader left.
      void Promise.resolve(iterator.return?.()).catch(() => {})
    },
  }
  new Conversation(portChannel(port), party, 'the consumer of a stream')
}

const receiveStream = (port: MessagePort, label: string, signal: AbortSignal | undefined): AsyncIterableIterator<unknown> => {
  let cancelled: PlugbayError | undefined
  const cancel = (): void => {
    cancelled = new PlugbayError('CALL_CANCELLED', `The stream of ${label} was cancelled by its caller.`, { cause: signal?.reason })
    conversation.close(cancelled)
  }
  const conversation = new Conversation(
    portChannel(port),
    {
      request: () => undefined,
      lost: () => new PlugbayError('SERVICE_GONE', `${asBeginning(label)} is gone, and with it the stream it was sending.`),
      ended: () => signal?.removeEventListener('abort', cancel),
    },
    `the stream of ${label}`,
  )
  signal?.addEventListener('abort', cancel, { once: true })
  const asked: Promise<unknown>[] = []
  let over = false
  const finish = (): IteratorResult<unknown> => {
    over = true
    conversation.close()
    return { done: true, value: undefined }
  }
  const ask = (): void => {
    const answer = conversation.request('next')
    // Items asked for ahead fail too when the line ends; the consumer sees the first failure, when it gets there.
    answer.catch(() => {})
    asked.push(answer)
  }
  return {
    async next() {
      if (over) return { done: true, value: undefined }
      try {
        // What was asked for ahead may have come before.
        if (cancelled) throw cancelled
        while (asked.length < AHEAD) ask()
        const result = (await asked.shift()) as IteratorResult<unknown>
        return result.done ? finish() : result
      } catch (error) {
        finish()
        throw error
      }
    },
    async return() {
      return finish()
    },
    [Symbol.asyncIterator]() {
      return this
    },
  }
}
