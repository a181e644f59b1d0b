/**
 * The doors of watchers: who is given one could ask it for its class, or for that of the handle in it, and make another that asks nobody.
 */
import fs from 'node:fs'
import { lock } from './lock.js'

type Function = (...args: unknown[]) => unknown
/** Takes a path in any form; throws PERMISSION_DENIED for what may not be read, and returns what is to be handed on instead. */
type CheckRead = (given: unknown) => unknown

const { apply, getPrototypeOf } = Reflect

/**
 * Behind the doors of `node:fs`. Node shows its handles in nothing but a watcher: that they start where they may is seen to when there is
 * the first one of their kind.
 */
export const closeWatchers = (checkRead: CheckRead): void => {
  const files = fs as unknown as Record<'watch' | 'watchFile', Function>
  for (const name of ['watch', 'watchFile'] as const) {
    const found = files[name]
    let closed = false
    files[name] = function (this: unknown, ...args) {
      const watcher = apply(found, this, args) as { _handle?: object | null }
      // A watcher of all folders within one has none itself, but watchers.
      if (!closed && typeof watcher._handle === 'object' && watcher._handle !== null) {
        closeHandle(watcher._handle, checkRead)
        closed = true
      }
      return watcher
    }
  }
}

const closeHandle = (handle: object, checkRead: CheckRead): void => {
  const prototype = getPrototypeOf(handle) as { start: Function }
  const { start } = prototype
  lock(prototype, 'start', function (this: unknown, file: unknown, ...rest: unknown[]) {
    return apply(start, this, [checkRead(file), ...rest])
  })
}
