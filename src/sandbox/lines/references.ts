/** Callbacks and objects by reference: what is called here runs where it lives. comlink carries it over a port of its own. */
import type { MessagePort } from 'node:worker_threads'
import { PlugbayError } from '../../errors.js'
import { asBeginning } from '../../sentence.js'
import { fromWire, toWire, type WireError } from '../../wire-error.js'
import type { CallWindow } from '../values/call-window.js'
import { type Sent, uncloneable, weighed } from '../values/sendable.js'
import { isAskedOfAll, labelled } from './faraway.js'
import { answering, calling } from './reference-wire.js'

/** What a call by reference answers: comlink alone would drop an error's code and cause. */
type Outcome = { value: unknown } | { error: WireError }

/** What comes is as its sender made it. */
const isFailure = (outcome: unknown): outcome is { error: WireError } =>
  typeof outcome === 'object' && outcome !== null && 'error' in outcome && typeof outcome.error === 'object' && outcome.error !== null

type Remote = Record<string, (...args: unknown[]) => Promise<Outcome>>

// ── where it lives ─────────────────────────────────────────────────────────────────────────────────────────────────

/** Answers the calls of the methods of `target` that come over `port`. `plugin`: whose it is, if it is a plugin's. */
export const exposeByReference = async (target: object, port: MessagePort, plugin: string | undefined): Promise<void> => {
  const { expose } = await import('comlink')
  const facade = new Proxy(Object.create(null) as object, {
    get: (_, key) => {
      const method = String(key)
      return (...args: unknown[]) =>
        attempt(async () => {
          const result: unknown = await Reflect.apply(methodOf(target, method), target, args)
          weighed(result, () => resultOf(method, plugin))
          return result
        }, plugin)
    },
  })
  const unsendable = (method: string, outcome: unknown, error: unknown): Outcome => {
    const { value } = outcome as { value: unknown }
    return { error: toWire(uncloneable(value, resultOf(method, plugin), error), plugin) }
  }
  expose(facade, answering(port, unsendable))
}

/** What every object or function has is none of its own methods, and would lead to what its owner never handed out. */
const methodOf = (target: object, key: string): ((...args: unknown[]) => unknown) => {
  const member: unknown = Reflect.get(target, key)
  const ofAll = [Object.prototype, Function.prototype].some((prototype) => member === Reflect.get(prototype, key))
  if (typeof member !== 'function' || key === 'constructor' || ofAll) {
    throw new PlugbayError('SERVICE_METHOD_UNKNOWN', `The object passed by reference has no method '${key}'.`, { details: { method: key } })
  }
  return member as (...args: unknown[]) => unknown
}

const resultOf = (method: string, plugin: string | undefined): Sent => ({
  name: `The result of '${method}'${plugin === undefined ? '' : ` of '${plugin}'`}, passed by reference,`,
  root: 'result',
})

const attempt = async (act: () => Promise<unknown>, plugin: string | undefined): Promise<Outcome> => {
  try {
    return { value: await act() }
  } catch (error) {
    return { error: toWire(error, plugin) }
  }
}

// ── where it is called ─────────────────────────────────────────────────────────────────────────────────────────────

/** Lets go of the port of what nobody has any more, once its calls under way are answered. */
const unused = new FinalizationRegistry<MessagePort>((port) => port.close())

/**
 * An object whose methods run at the other end of `port`, within `window`; `other`: the plugin there, where it is known. Its port closes
 * when it is no longer used.
 */
export const wrapReference = async (port: MessagePort, label: string, window: CallWindow, other?: string): Promise<unknown> => {
  const { wrap } = await import('comlink')
  const calls = new ReferenceCalls(port, label)
  const caller = new ReferenceCaller(wrap<Remote>(calling(port)), calls, label, window, other)
  // `then` stays undefined: a remote object is no promise, and awaiting it must give itself.
  const object = new Proxy(labelled(`[object of ${label}]`), {
    get: (shown, key) => {
      if (key in shown) return Reflect.get(shown, key)
      return isAskedOfAll(key) ? undefined : (...args: unknown[]) => caller.call(key as string, args)
    },
  })
  unused.register(caller, port)
  return object
}

/** A function that runs at the other end of `port`. */
export const wrapCallback = async (port: MessagePort, label: string, window: CallWindow, other?: string): Promise<unknown> => {
  const { call } = (await wrapReference(port, label, window, other)) as { call: (...args: unknown[]) => Promise<unknown> }
  return (...args: unknown[]) => call(...args)
}

/** The calls that wait for an answer; each holds on to its caller. Known to the port, so it may not know the caller itself. */
class ReferenceCalls {
  readonly waiting = new Set<(error: PlugbayError) => void>()
  over: PlugbayError | undefined

  constructor(port: MessagePort, label: string) {
    port.once('close', () => {
      this.over = new PlugbayError('SERVICE_GONE', `${asBeginning(label)} is gone, and with it the object it had passed by reference.`)
      for (const fail of this.waiting) fail(this.over)
    })
  }
}

class ReferenceCaller {
  readonly #remote: Remote
  readonly #calls: ReferenceCalls
  readonly #label: string
  readonly #window: CallWindow
  readonly #other: string | undefined

  constructor(remote: Remote, calls: ReferenceCalls, label: string, window: CallWindow, other: string | undefined) {
    this.#remote = remote
    this.#calls = calls
    this.#label = label
    this.#window = window
    this.#other = other
  }

  call(key: string, args: unknown[]): Promise<unknown> {
    const { waiting, over } = this.#calls
    const window = this.#window
    return new Promise((resolve, reject) => {
      if (over) throw over
      const sent = (): Sent => ({
        name: `The arguments of '${key}' of ${this.#label}`,
        plural: true,
        root: 'arguments',
        about: { details: { method: key } },
      })
      const size = weighed(args, sent)
      let left = false
      /** Its room is free again. True for the first who says so: what follows is its end. */
      const ends = (): boolean => {
        if (!waiting.delete(fail)) return false
        if (left) window.left(size)
        else window.forget(turn)
        return true
      }
      const fail = (error: PlugbayError): void => void (ends() && reject(error))
      const send = (ready: unknown[]): void => {
        left = true
        window.enter(size)
        Promise.resolve(this.#remote[key]?.(...ready)).then(
          (outcome) => {
            if (!ends()) return
            if (isFailure(outcome)) reject(fromWire(outcome.error, this.#other))
            else resolve((outcome as { value?: unknown } | undefined)?.value)
          },
          (error: unknown) => fail(uncloneable(args, sent(), error)),
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
        fail(uncloneable(args, sent(), error))
      }
    })
  }
}
