/** Web streams that come in a message: Node builds them on a port whose other end it believes, and an error that it throws there ends the thread. Here it is not believed. */
import { MessagePort } from 'node:worker_threads'
import { PlugbayError } from '../errors.js'

// ── where one is to be sent ────────────────────────────────────────────────────────────────────────────────────────

const MEND = {
  ReadableStream:
    'Hand it over itself, as an argument or a result: the other side gets what it reads as an async iterable, of which ReadableStream.from() makes a stream.',
  WritableStream: 'Pass a callback, or an object by reference (byReference), that writes to it.',
  TransformStream: 'Hand over its readable end itself, and pass a callback that writes to its writable end.',
}

/** The kind of a web stream. Node loads the classes when they are first asked for: what moves is mostly known without. */
const kindOf = (object: object): keyof typeof MEND | undefined => {
  if (object instanceof ArrayBuffer || object instanceof MessagePort) return undefined
  if (object instanceof ReadableStream) return 'ReadableStream'
  if (object instanceof WritableStream) return 'WritableStream'
  return object instanceof TransformStream ? 'TransformStream' : undefined
}

/** Whether what is marked to move is a stream to be read, and that alone: it crosses as what is iterated asynchronously. */
export const isReadable = (value: unknown, objects: readonly object[]): value is ReadableStream =>
  objects.length === 1 && objects[0] === value && kindOf(value as object) === 'ReadableStream'

/** Throws PAYLOAD_NOT_CLONEABLE for a web stream among what is to move. `what` moves it, as the beginning of a sentence. */
export const assertMovable = (objects: readonly object[], what: string, plugin?: string): void => {
  for (const object of objects) {
    const kind = kindOf(object)
    if (kind === undefined) continue
    throw new PlugbayError(
      'PAYLOAD_NOT_CLONEABLE',
      `${what} cannot cross a thread: a ${kind} does not move, as nothing would hold its other end to what a stream may say. ${MEND[kind]}`,
      plugin === undefined ? {} : { plugin },
    )
  }
}

// ── where one comes ────────────────────────────────────────────────────────────────────────────────────────────────

/** As Node itself uses a port. */
type StreamPort = MessagePort & { onmessage: ((event: { data: unknown }) => void) | null; onmessageerror: () => void }
type Deserialize = (content: { port: StreamPort }) => void

/** Taken now: what a plugin does to `process` later does not matter. */
const builtin = process.getBuiltinModule.bind(process)

/** Where Node builds one that came. It has no public name, and a class that somebody put in the place of Node's as a global has none. */
const buildsIn = (made: { prototype: object } | undefined): symbol | undefined =>
  made && Object.getOwnPropertySymbols(made.prototype).find(({ description }) => description === 'messaging_deserialize_symbol')

let held = false

/**
 * From now on a stream that comes in a message of any port of this thread fails by itself when its other end says what no stream says, or more than it was
 * asked for. Before a place is heard that is not believed: whoever changes its realm sends what it likes.
 */
export const holdMovedStreams = (): void => {
  if (held) return
  held = true
  for (const name of ['ReadableStream', 'WritableStream'] as const) {
    const common = globalThis[name]
    const { prototype } = buildsIn(common) === undefined ? builtin('node:stream/web')[name] : common
    const key = buildsIn({ prototype })
    if (key === undefined) continue
    const deserialize = Reflect.get(prototype, key) as Deserialize
    Reflect.set(prototype, key, function (this: unknown, content: { port: StreamPort }) {
      Reflect.apply(deserialize, this, [content])
      hold(content.port)
    })
  }
}

/** What Node hears at the port of a stream, without an error that nobody catches. */
const hold = (port: StreamPort): void => {
  const { postMessage, onmessage: hear, onmessageerror: unread } = port
  let asked = 0
  Object.defineProperty(port, 'postMessage', {
    value: (message: unknown) => {
      if (typeOf(message) === 'pull') asked++
      Reflect.apply(postMessage, port, [message])
    },
  })
  const fail = (error: unknown): void => {
    try {
      hear?.({ data: { type: 'error', value: error } })
    } catch {
      // It is over already.
    }
    // Without a listener what waits in the port is not even read.
    port.onmessage = null
    port.close()
  }
  port.onmessage = (event) => {
    try {
      if (typeOf(event.data) === 'chunk' && --asked < 0) throw new RangeError('more comes than was asked for')
      hear?.(event)
    } catch (cause) {
      fail(new PlugbayError('PROTOCOL', 'The other end of a stream that was moved here does not speak as a stream does.', { cause }))
    }
  }
  port.onmessageerror = () => {
    try {
      unread()
    } catch (error) {
      fail(error)
    }
  }
}

const typeOf = (message: unknown): unknown => (message as { type?: unknown } | null)?.type
