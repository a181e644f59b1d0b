/**
 * What comlink may say and hear over the port of a reference: calls of one method and their answers. All else is not believed, and ends the
 * port.
 */
import type { MessagePort } from 'node:worker_threads'
import { Stint } from '../stint.js'
import { WINDOW_CALLS } from '../values/call-window.js'
import { isTooLarge } from './line-channel.js'

/*
 * comlink trusts its other end: by itself it follows any path from an object, sets and constructs what it finds there, and throws in its
 * listener for a message that is malformed. The other end is a plugin. So messages are parsed here before comlink sees them.
 */

/** A call of a method, with arguments that are data. */
interface CallMessage {
  id: string
  type: 'APPLY'
  path: [method: string]
  argumentList: { type: 'RAW'; value: unknown }[]
}

type Fields = Record<string, unknown>

const isFields = (value: unknown): value is Fields => typeof value === 'object' && value !== null

export const isCall = (message: unknown): message is CallMessage => {
  if (!isFields(message)) return false
  const { id, type, path, argumentList } = message
  return (
    typeof id === 'string' &&
    type === 'APPLY' &&
    Array.isArray(path) &&
    path.length === 1 &&
    typeof path[0] === 'string' &&
    Array.isArray(argumentList) &&
    argumentList.every((argument) => isFields(argument) && argument['type'] === 'RAW')
  )
}

export const isAnswer = (message: unknown): message is { id: string; value: unknown } =>
  isFields(message) && typeof message['id'] === 'string' && message['type'] === 'RAW'

/** The answer to what has the same id. */
export const answerTo = ({ id }: { id: string }, value: unknown): unknown => ({ id, type: 'RAW', value })

/** As much of an endpoint as comlink asks for. */
interface Endpoint {
  postMessage(message: unknown, transfer?: unknown[]): void
  addEventListener(kind: string, listener: (event: { data: unknown }) => void): void
  removeEventListener(): void
  start(): void
}

/** As many items of a batch takes a message of comlink's to be read and answered. */
const ITEMS = 64

const endpoint = (port: MessagePort, believed: (message: unknown) => boolean, post: Endpoint['postMessage']): Endpoint => ({
  postMessage: post,
  addEventListener: (_, listener) => {
    const take = (data: unknown): void => {
      stint.begin(ITEMS)
      if (believed(data)) listener({ data })
      else port.close()
      stint.end()
    }
    const stint = new Stint(
      () => port.off('message', take),
      () => port.on('message', take),
    )
    port.on('message', take)
  },
  // It listens as long as the port is open.
  removeEventListener: () => {},
  start: () => {},
})

/**
 * Where the object lives: hears calls, of which no more are under way than its caller's own end lets leave. `unsendable` makes the answer
 * to a call of that method whose result cannot cross.
 */
export const answering = (port: MessagePort, unsendable: (method: string, answer: unknown, error: unknown) => unknown): Endpoint => {
  let underWay = 0
  /** Of each call under way, the method. */
  const called = new Map<unknown, string>()
  const believed = (message: unknown): boolean => {
    if (!isCall(message) || ++underWay > WINDOW_CALLS || isTooLarge(message.argumentList.map(({ value }) => value))) return false
    called.set(message.id, message.path[0])
    return true
  }
  return endpoint(port, believed, (message) => {
    const { id, value } = message as Fields
    const method = called.get(id) ?? ''
    called.delete(id)
    underWay--
    try {
      port.postMessage(message)
    } catch (error) {
      port.postMessage({ ...(message as Fields), value: unsendable(method, value, error) })
    }
  })
}

/** Where it is called: hears answers, one at most to each call. */
export const calling = (port: MessagePort): Endpoint => {
  let unanswered = 0
  return endpoint(
    port,
    (message) => isAnswer(message) && !isTooLarge(message.value) && --unanswered >= 0,
    (message) => {
      // Unless it is a call, comlink only says that it lets go of the object: its port ends with the last who has it.
      if (!isCall(message)) return
      port.postMessage(message)
      unanswered++
    },
  )
}
