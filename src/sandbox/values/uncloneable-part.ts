/** Where in a value that was refused lies what cannot cross. It is a walk, so only then. */
import { markOf } from '../../passing.js'

/** How many parts are looked at, how deep, and how much of a key is told. */
const MAX_PARTS = 4_096
const MAX_DEPTH = 32
const MAX_KEY = 40

const isUncloneable = (part: unknown): boolean =>
  typeof part === 'function' ||
  typeof part === 'symbol' ||
  part instanceof Promise ||
  part instanceof WeakMap ||
  part instanceof WeakSet ||
  part instanceof WeakRef

/** Of these a clone has no properties. */
const isWhole = (part: object): boolean =>
  part instanceof Error || part instanceof Date || part instanceof RegExp || part instanceof ArrayBuffer || ArrayBuffer.isView(part)

const text = (key: unknown): string => {
  const whole = typeof key === 'string' ? JSON.stringify(key) : String(key)
  return whole.length > MAX_KEY ? `${whole.slice(0, MAX_KEY)}…` : whole
}

const member = (key: string): string => (/^[A-Za-z_$][\w$]{0,39}$/.test(key) ? `.${key}` : `[${text(key)}]`)

/** The class of an object whose inside is its own affair. */
const classOf = (part: object): string | undefined => {
  if (Array.isArray(part) || part instanceof Map || part instanceof Set) return undefined
  const prototype = Object.getPrototypeOf(part) as { constructor?: { name?: unknown } } | null
  if (prototype === null || prototype === Object.prototype) return undefined
  const name = prototype.constructor?.name
  return typeof name === 'string' && name !== '' ? text(name).replaceAll('"', '') : 'class'
}

function* partsOf(whole: object): Generator<[step: string, part: unknown]> {
  if (whole instanceof Map) {
    for (const [key, value] of whole) {
      yield [`.get(${typeof key === 'object' ? '…' : text(key)})`, value]
      yield ['.keys()', key]
    }
  } else if (whole instanceof Set) {
    for (const value of whole) yield ['.values()', value]
  } else {
    const array = Array.isArray(whole)
    for (const key of Object.keys(whole))
      yield [array && /^\d+$/.test(key) ? `[${key}]` : member(key), (whole as Record<string, unknown>)[key]]
  }
}

/** Of a path to what an author marked, the mark. */
export const MARKED = / \((transfer|byReference)\(\)\)$/

/** Kept back where it would leave a plugin. */
const isRegExp = (part: unknown): boolean => part instanceof RegExp

/** Whether one is in a value. */
export const holdsRegExp = (value: unknown): boolean => uncloneablePart(value, '', isRegExp) !== undefined

/**
 * The path to the first part that cannot cross, from `root` on, such as `data.user.list[1].cb`; undefined where it is not found. `stays`:
 * whether that is one.
 */
export const uncloneablePart = (value: unknown, root: string, stays = isUncloneable): string | undefined => {
  const seen = new Set<object>()
  const find = (part: unknown, path: string, depth: number): string | undefined => {
    if (stays(part)) return path
    if (typeof part !== 'object' || part === null || depth > MAX_DEPTH || seen.has(part) || seen.size >= MAX_PARTS || isWhole(part))
      return undefined
    seen.add(part)
    const mark = markOf(part)
    if (mark !== undefined) return `${path} (${mark === 'transfer' ? 'transfer' : 'byReference'}())`
    for (const [step, inner] of partsOf(part)) {
      const found = find(inner, path + step, depth + 1)
      if (found === undefined) continue
      const name = classOf(part)
      return name === undefined ? found : `${path} (${name})`
    }
    return undefined
  }
  try {
    const found = find(value, root, 0)
    return found === undefined && stays === isUncloneable ? uncloneablePart(value, root, isRegExp) : found
  } catch {
    return undefined // a getter or a proxy that throws
  }
}
