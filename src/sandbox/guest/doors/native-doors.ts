/**
 * The doors of native code that ends the process where it is handed what Node's own JavaScript takes for granted.
 * test/hostile/sweep.test.ts looks for more of it.
 */
import type PerfHooks from 'node:perf_hooks'
import nodeUrl from 'node:url'
import nodeUtil from 'node:util'
import { faceOf, prototypeOf, wholeOf } from './faces.js'
import { standIn } from './stand-in.js'

type Function = (...all: unknown[]) => unknown
type Class = (new (...all: unknown[]) => object) & { prototype: object; name: string; length: number }

// The plugin may change what it finds in the realm: taken before it runs.
const { apply, construct, defineProperty, getOwnPropertyDescriptor, getPrototypeOf, setPrototypeOf } = Reflect
const { isUint8Array } = nodeUtil.types
const { isNaN: isNoNumber } = Number
const byteLength = getOwnPropertyDescriptor(getPrototypeOf(Uint8Array.prototype) as object, 'byteLength')?.get as () => number
const WholeMap = Map

/** For all time. */
export const closeNative = (): void => {
  closeSearches()
  closeUrlPattern()
}

/**
 * They ask a buffer for its length, which may say what it likes, and hand on what it says; from Node 24 on also an end that is no number.
 */
const closeSearches = (): void => {
  const buffers = Buffer.prototype as unknown as Record<string, Function>
  for (const name of ['indexOf', 'lastIndexOf', 'includes']) {
    const search = buffers[name] as Function
    const takesEnd = search.length > 3
    const { held } = {
      held(this: unknown, value: unknown, offset: unknown, ...rest: unknown[]): unknown {
        if (!isUint8Array(this)) throw new TypeError(`${name} is for a Buffer or a Uint8Array.`)
        const length = apply(byteLength, this, [])
        const given = typeof offset === 'string' ? Number.NaN : +(offset as number)
        const from = isNoNumber(given) ? (name === 'lastIndexOf' ? length : 0) : given
        const end = takesEnd && typeof rest[0] !== 'string' ? rest[0] : undefined
        if (end !== undefined && typeof end !== 'number')
          throw new TypeError(`The end that ${name} is given must be a number, its encoding a string.`)
        const encoding = typeof offset === 'string' ? offset : takesEnd && typeof rest[0] !== 'string' ? rest[1] : rest[0]
        return apply(search, this, takesEnd ? [value, from, end ?? length, encoding] : [value, from, encoding])
      },
    }
    standIn(buffers, name, held)
  }
}

/** What reads it natively is a constructor, and ends the process as one; nor can it be replaced where it is. */
const closeUrlPattern = (): void => {
  const owners = [globalThis, nodeUrl] as unknown as Record<string, Class | undefined>[]
  const Whole = owners[0]?.['URLPattern']
  if (Whole === undefined) return
  const Held = function (...all: unknown[]): object {
    if (new.target === undefined) return apply(Whole as unknown as () => object, undefined, all)
    const face = faceOf(construct(Whole, all))
    if (new.target !== Held) setPrototypeOf(face, new.target.prototype as object)
    return face
  }
  const prototype = prototypeOf(Whole.prototype)
  defineProperty(prototype, 'constructor', { value: Held, writable: true, enumerable: false, configurable: true })
  defineProperty(Held, 'prototype', { value: prototype, writable: false })
  for (const shown of ['name', 'length'] as const) defineProperty(Held, shown, { value: Whole[shown], configurable: true })
  for (const owner of owners) {
    const found = getOwnPropertyDescriptor(owner, 'URLPattern')
    if (found !== undefined) defineProperty(owner, 'URLPattern', { ...found, value: Held })
  }
}

// ── histograms ─────────────────────────────────────────────────────────────────────────────────────────────────────

/** Each has a native one as a property, and takes whatever has such a property for another. */
export const closeHistograms = (hooks: typeof PerfHooks): void => {
  const makes = hooks as unknown as Record<string, Function | undefined>
  // From one of a window comes one that is none.
  prototypeOf(getPrototypeOf(hooks.createHistogram({ highest: 2, figures: 1 })), askHistogram)
  for (const name of ['createHistogram', 'createSlidingWindowHistogram', 'importHistogram', 'monitorEventLoopDelay']) {
    const make = makes[name]
    if (make === undefined) continue
    const { held } = { held: (...all: unknown[]): object => faceOf(apply(make, hooks, all) as object, askHistogram) }
    standIn(hooks, name, held)
  }
}

const askHistogram = (member: Function, whole: object, given: unknown[]): unknown => {
  // They fill one that they make by this name, natively.
  if (getOwnPropertyDescriptor(globalThis, 'Map')?.value !== WholeMap) throw new TypeError('A histogram needs the Map that JavaScript has.')
  for (let at = 0; at < given.length; at++) given[at] = histogramOr(given[at])
  return apply(member, whole, given)
}

/**
 * The histogram behind a face, and of what is none its data: asked for by a Proxy, Node would tell how it finds what a histogram is made
 * of.
 */
export const histogramOr = (given: unknown): unknown =>
  (typeof given === 'object' && given !== null) || typeof given === 'function' ? (wholeOf(given) ?? { __proto__: null, ...given }) : given
