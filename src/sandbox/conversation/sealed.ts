/**
 * A value on its way through a thread that only passes it on: its sender seals it, its receiver opens it, and between the two nobody reads
 * it.
 */
import { MessageChannel, MessagePort, receiveMessageOnPort, type Transferable } from 'node:worker_threads'
import { Boxed } from './party.js'

/**
 * A port with one message in it, which is the value; or its bytes, for another process: no port leads there but through the thread between.
 */
export type Sealed = MessagePort | Uint8Array

/** What weighs less is read in less time than it takes to pass on a port. */
export const WORTH_SEALING = 128 * 1_024

/** A reply with such metas has one as its body. */
const SEALED = ['sealed'] as const

/**
 * Loaded where bytes are made or read: a thread that boots has no time for it. Taken now: what a plugin does to `process` later does not
 * matter.
 */
const builtin = process.getBuiltinModule.bind(process)

const uncloneable = (message: string): Error => new DOMException(message, 'DataCloneError')

/** What V8 calls while it writes: for the error of a value, and for what is no plain object. */
const ASKED = {
  _getDataCloneError: uncloneable,
  _writeHostObject(object: object): never {
    throw uncloneable(`A ${object.constructor.name} cannot go to another process.`)
  },
}

/** As bytes. Structured clone has its say first: it refuses what V8 alone would write down as an empty object. */
const written = (value: unknown, moved: readonly Transferable[]): Uint8Array => {
  const { Serializer } = builtin('node:v8')
  const writer = Object.assign(new Serializer(), ASKED)
  writer.writeHeader()
  // @types/node and the global disagree on what is transferable; both mean the same objects.
  writer.writeValue(structuredClone(value, { transfer: moved as ArrayBuffer[] }))
  return writer.releaseBuffer()
}

const read = (bytes: Uint8Array): unknown => {
  const { Deserializer } = builtin('node:v8')
  const reader = new Deserializer(bytes)
  reader.readHeader()
  return reader.readValue()
}

/** `beyond`: its receiver is in another process. Throws what structuredClone throws. */
export const seal = (value: unknown, beyond: boolean, moved: readonly Transferable[] = []): Sealed => {
  if (beyond) return written(value, moved)
  const { port1, port2 } = new MessageChannel()
  try {
    port1.postMessage(value, moved)
  } catch (error) {
    port2.close()
    throw error
  } finally {
    port1.close()
  }
  return port2
}

/** What moves with it. */
export const movedWith = (sealed: Sealed): Transferable[] => [sealed instanceof MessagePort ? sealed : (sealed.buffer as ArrayBuffer)]

/** As a reply. */
export const boxedSealed = (sealed: Sealed): Boxed => new Boxed(sealed, movedWith(sealed), SEALED)

export const isSealed = (metas: readonly unknown[]): boolean => metas[0] === SEALED[0]

/** The value. Throws for what cannot be read here. */
export const open = (sealed: Sealed): unknown => {
  if (!(sealed instanceof MessagePort)) return read(sealed)
  try {
    return receiveMessageOnPort(sealed)?.message
  } finally {
    sealed.close()
  }
}

/** Nobody wants it any more. */
export const discard = (sealed: Sealed): void => {
  if (sealed instanceof MessagePort) sealed.close()
}
