/**
 * Web streams that are marked to move: none does by Node's own way, which believes whatever its other end says. A gate leaves a plugin no
 * other way past this.
 */
import { MessagePort } from 'node:worker_threads'
import { PlugbayError } from '../../errors.js'

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
