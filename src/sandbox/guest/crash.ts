/** An error that ends a thread is made small before Node hands it to the kernel's thread, with all it holds. */
import { fromWire, toWire } from '../../wire-error.js'
import { cloneSize } from '../values/clone-size.js'

/**
 * Bytes of an error that are handed over as they are. With the names of its parts it is larger there, and of one larger than 256 KiB
 * nothing is taken.
 */
const LARGE = 128 * 1_024

/** Takes an error that nobody caught. */
export const boundCrash = (error: unknown): void => {
  // Somebody in here takes it as it is: it ends nothing.
  if (process.listenerCount('uncaughtException') > 0 || typeof error !== 'object' || error === null) return
  try {
    if (cloneSize(error, LARGE) <= LARGE) return
    const small = fromWire(toWire(error))
    for (const key of Reflect.ownKeys(error)) Reflect.deleteProperty(error, key)
    for (const key of Reflect.ownKeys(small)) {
      Reflect.defineProperty(error, key, Reflect.getOwnPropertyDescriptor(small, key) as PropertyDescriptor)
    }
  } catch {
    // A proxy, perhaps: Node takes what it can get of it.
  }
}
