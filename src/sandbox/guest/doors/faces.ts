/**
 * Faces: what a plugin gets in the place of an object of Node's that is made of native code. That ends the process when it is called
 * otherwise than Node's own JavaScript calls it, so a face has the public members of the whole, asks it for each, and shows nothing of what
 * it is made of.
 */

type Member = (...all: unknown[]) => unknown
/** Calls a member of the whole with what its face was given. */
type Ask = (member: Member, whole: object, given: unknown[]) => unknown

// The plugin may change what it finds in the realm: taken before it runs.
const { apply, defineProperty, getOwnPropertyDescriptor, getPrototypeOf, ownKeys } = Reflect
const { create } = Object
const { keyFor, toStringTag } = Symbol
const root = Object.prototype

/** Puts the fields of a class on an object that is there. Nobody else finds them, whatever becomes of Map and WeakMap. */
class On {
  constructor(object: object) {
    // biome-ignore lint/correctness/noConstructorReturn: it is what this is for.
    return object
  }
}

class Face extends On {
  readonly #whole: object

  constructor(face: object, whole: object) {
    super(face)
    this.#whole = whole
  }

  static whole(value: unknown): object | undefined {
    return typeof value === 'object' && value !== null && #whole in value ? value.#whole : undefined
  }
}

class Faced extends On {
  readonly #prototype: object

  constructor(prototype: object, face: object) {
    super(prototype)
    this.#prototype = face
  }

  /** Of the faces of what inherits from it. */
  static facing(value: object | null): object | undefined {
    return value !== null && #prototype in value ? value.#prototype : undefined
  }
}

/** The object behind a face; undefined for all else. */
export const wholeOf = (value: unknown): object | undefined => Face.whole(value)

/** Its members are asked by `ask`. */
export const faceOf = (whole: object, ask: Ask = apply): object => {
  const face = create(prototypeOf(getPrototypeOf(whole), ask)) as object
  new Face(face, whole)
  return face
}

/** What the faces of all that inherits from it inherit. */
export const prototypeOf = <P extends object | null>(prototype: P, ask: Ask = apply): P => {
  if (prototype === null || prototype === root) return prototype
  const known = Faced.facing(prototype)
  if (known !== undefined) return known as P
  const face = create(prototypeOf(getPrototypeOf(prototype), ask)) as P & object
  for (const key of ownKeys(prototype)) {
    if (!isPublic(key)) continue
    const { value, get, set, enumerable } = getOwnPropertyDescriptor(prototype, key) as PropertyDescriptor
    const asked = (member: unknown): unknown => (typeof member === 'function' ? asking(member as Member, ask) : member)
    const held = get || set ? { get: asked(get), set: asked(set) } : { value: asked(value), writable: true }
    defineProperty(face, key, { ...held, enumerable, configurable: true } as PropertyDescriptor)
  }
  new Faced(prototype, face)
  return face
}

/** By its other symbols Node asks an object for what it is made of. Of its class there is none to be had. */
const isPublic = (key: PropertyKey): boolean =>
  typeof key === 'symbol' ? keyFor(key) !== undefined || key === toStringTag : key !== 'constructor'

/** No constructor: some members of native code are one, and end the process as such. */
const asking = (member: Member, ask: Ask): Member =>
  ({
    asked(this: unknown, ...given: unknown[]): unknown {
      const whole = wholeOf(this)
      if (whole === undefined) throw new TypeError('Illegal invocation')
      const answer = ask(member, whole, given)
      if (answer === whole) return this
      const isWhole = typeof answer === 'object' && answer !== null && Faced.facing(getPrototypeOf(answer)) !== undefined
      return isWhole ? faceOf(answer) : answer
    },
  }).asked
