/** The doors of watchers: who is given one could ask it for its class, or for that of the handle in it, and make another that asks nobody. */
import fs from 'node:fs'
import type { CheckFile } from './file-doors.js'
import { lock } from './lock.js'

type Function = (...args: unknown[]) => unknown

const { apply, getPrototypeOf } = Reflect

/** Behind the doors of `node:fs`. Node shows its handles in nothing but a watcher: that they start where they may is seen to when there is the first one of their kind. */
export const closeWatchers = (check: CheckFile): void => {
  const files = fs as unknown as Record<'watch' | 'watchFile', Function>
  for (const name of ['watch', 'watchFile'] as const) {
    const found = files[name]
    let closed = false
    files[name] = function (this: unknown, ...args) {
      const watcher = apply(found, this, args) as { _handle?: object | null }
      // A watcher of all folders within one has none itself, but watchers.
      if (!closed && typeof watcher._handle === 'object' && watcher._handle !== null) {
        closeHandle(watcher._handle, check)
        closed = true
      }
      return watcher
    }
  }
}

const closeHandle = (handle: object, check: CheckFile): void => {
  const prototype = getPrototypeOf(handle) as { start: Function }
  const { start } = prototype
  lock(prototype, 'start', function (this: unknown, file: unknown, ...rest: unknown[]) {
    return apply(start, this, [check('read', file), ...rest])
  })
}
