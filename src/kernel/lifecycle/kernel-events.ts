/** What the kernel tells its embedder: a typed mitt, whose listeners cannot harm each other. */

import type { Emitter, EventType } from 'mitt'
import mittModule from 'mitt'
import { argumentInvalid, assertFunction } from '../../arguments.js'
import type { ErrorCode } from '../../errors.js'
import { didYouMean } from '../../nearest.js'
import type { Isolation } from '../manifest/manifest.js'
import type { PluginState } from './lifecycle.js'

/** What keeps a plugin from running or went wrong with it: a PlugbayError, or one of Node's with a code such as `EACCES`. */
export type Fault = Error & {
  readonly code?: ErrorCode | (string & {}) | undefined
  readonly plugin?: string | undefined
  readonly details?: Record<string, unknown> | undefined
}

/** Events of `kernel.on`. All times in milliseconds. */
export type KernelEvents = {
  /** A plugin moved from one state to another. */
  'plugin:state': { name: string; generation: number; from: PluginState; to: PluginState; reason: string }
  /**
   * A crash, a limit, a denial, a replacement that did not come up. `lost`: events it had taken and not handled. `restartIn`: ms until
   * it is started again; a crash without it is not followed by a restart.
   */
  'plugin:fault': { name: string; generation: number; error: Fault; lost?: number; restartIn?: number }
  /** A generation took over from another. `moved`: events that were handed over; `left`: what the old one could not undo. */
  'plugin:replaced': { name: string; from: number; to: number; reason: string; ms: number; moved: number; left: string[] }
  /**
   * The thread of a plugin was to end and does not: native code holds it. The plugin has no part in the system any more; its thread may end
   * later.
   */
  'plugin:stuck': { name: string; generation: number }
  /**
   * After too many faults a plugin runs in another place from its next start on (`restart.demote`); `generation` is the one that failed
   * last.
   */
  'plugin:demoted': { name: string; generation: number; from: Isolation; to: Isolation; reason: string }
  /** The kernel started or stopped. */
  'kernel:state': { from: KernelState; to: KernelState }
}

/** What is done about each of them. */
export type KernelEventHandlers = { readonly [E in keyof KernelEvents]: (payload: KernelEvents[E]) => void }

export type KernelState = 'created' | 'starting' | 'running' | 'stopping' | 'stopped'

const KERNEL_EVENTS: Record<keyof KernelEvents, true> = {
  'plugin:state': true,
  'plugin:fault': true,
  'plugin:replaced': true,
  'plugin:stuck': true,
  'plugin:demoted': true,
  'kernel:state': true,
}

const assertEvent = (event: string): void => {
  if (Object.hasOwn(KERNEL_EVENTS, event)) return
  const names = Object.keys(KERNEL_EVENTS)
  throw argumentInvalid(
    'kernel.on()',
    `knows no event '${String(event)}'.${didYouMean(String(event), names)} There are: ${names.join(', ')}.`,
  )
}

// mitt declares a default export that nodenext does not see as callable.
const mitt = mittModule as unknown as <E extends Record<EventType, unknown>>() => Emitter<E>

export class KernelEmitter {
  readonly #emitter = mitt<KernelEvents>()
  readonly #failed: (event: string, error: unknown) => void

  constructor(failed: (event: string, error: unknown) => void) {
    this.#failed = failed
  }

  /** Returns the undo. Throws OPTIONS_INVALID. */
  on<E extends keyof KernelEvents>(event: E, listener: (payload: KernelEvents[E]) => unknown): () => void {
    assertEvent(event)
    assertFunction(listener, `kernel.on('${event}')`, 'what happened')
    // mitt lets a throwing handler stop the others.
    const guarded = (payload: KernelEvents[E]): void => {
      try {
        const result = listener(payload)
        if (result instanceof Promise) result.catch((error: unknown) => this.#failed(event, error))
      } catch (error) {
        this.#failed(event, error)
      }
    }
    this.#emitter.on(event, guarded)
    return () => this.#emitter.off(event, guarded)
  }

  emit<E extends keyof KernelEvents>(event: E, payload: KernelEvents[E]): void {
    this.#emitter.emit(event, payload)
  }
}
