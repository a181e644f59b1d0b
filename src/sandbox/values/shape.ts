/** The shape of a plain value: its structure without its leaves, interned so that a value is recognised without building text. */

/**
 * Text of a shape, as it crosses the wire; strict JSON, so that a receiver parses it rather than trusts it:
 * `0` a leaf, `{"key":shape,…}` an object, `[shape]` an array of any length of one shape (its length is the first leaf),
 * `[shape,shape,…]` an array of mixed shapes (its length is the first leaf too).
 *
 * The elements of an array of one shape have a leaf each, so that a value is never much larger than its leaves and this text.
 */
export type ShapeText = string

/** The text of the shape of a leaf. */
export const LEAF_SHAPE: ShapeText = '0'
/** … and that of an array of leaves. */
export const LEAVES_SHAPE: ShapeText = '[0]'

/** A known structure. Identity is equality: two values of the same structure share one Shape. */
export interface Shape {
  readonly text: ShapeText
  /** A value of this shape has no leaf: an object without properties, or with such objects only. */
  readonly leafless: boolean
}

/** Shapes beyond this many steps are forgotten and learned anew: objects used as dictionaries would otherwise grow them for ever. */
const MAX_STEPS = 20_000

/**
 * Shapes do not grow beyond this many characters: each step keeps the text up to it, so an object with thousands of keys would cost memory
 * by the square of their number. Who receives a longer one does not believe it.
 */
const MAX_TEXT = 4_096

// A plugin may change what it finds in its realm, and so what it says; not by accident, and not without being caught where it arrives.
const { parse, stringify } = JSON

/**
 * One step on the way along an object's keys or an array's elements. Remembers its last successor, which is nearly always the next one too.
 */
class Step {
  #lastKey: string | undefined
  #lastChild: Shape | undefined
  #last: Step | undefined
  #next: Map<string, Map<Shape, Step>> | undefined
  #shape: Shape | undefined
  readonly #text: string
  readonly #leafless: boolean

  constructor(text: string, leafless: boolean) {
    this.#text = text
    this.#leafless = leafless
  }

  to(key: string, child: Shape, book: ShapeBook): Step {
    if (this.#last !== undefined && key === this.#lastKey && child === this.#lastChild) return this.#last
    const step = this.#find(key, child, book)
    if (step === TOO_LONG) return step
    this.#lastKey = key
    this.#lastChild = child
    this.#last = step
    return step
  }

  #find(key: string, child: Shape, book: ShapeBook): Step {
    if (this.#text.length + key.length + child.text.length >= MAX_TEXT) return TOO_LONG
    this.#next ??= new Map()
    let byChild = this.#next.get(key)
    if (byChild === undefined) this.#next.set(key, (byChild = new Map()))
    let step = byChild.get(child)
    if (step === undefined) {
      const separator = this.#text.length > 1 ? ',' : ''
      const label = this.#text.startsWith('{') ? `${stringify(key)}:` : ''
      const text = `${this.#text}${separator}${label}${child.text}`
      if (text.length >= MAX_TEXT) return TOO_LONG
      step = new Step(text, this.#leafless && child.leafless)
      byChild.set(child, step)
      book.count()
    }
    return step
  }

  /** The shape of a value that ends at this step. */
  get shape(): Shape {
    return (this.#shape ??= { text: this.#text + (this.#text.startsWith('{') ? '}' : ']'), leafless: this.#leafless })
  }
}

/** Where a shape would grow too long: a dead end. */
export const TOO_LONG = new Step('', true)

/** A primitive, or a value that the platform clones whole. */
export const LEAF: Shape = { text: LEAF_SHAPE, leafless: false }
const LEAVES: Shape = { text: LEAVES_SHAPE, leafless: false }

/** The shapes one thread has met. */
export class ShapeBook {
  #steps = 0
  #arrays = new Map<Shape, Shape>()
  object = new Step('{', true)
  // Its length is a leaf.
  tuple = new Step('[', false)

  /** An array whose elements all have one shape. Undefined where that is leafless, or too long. */
  arrayOf(element: Shape): Shape | undefined {
    if (element === LEAF) return LEAVES
    let shape = this.#arrays.get(element)
    if (shape === undefined) {
      if (element.leafless || element.text.length + 2 > MAX_TEXT) return undefined
      shape = { text: `[${element.text}]`, leafless: false }
      this.#arrays.set(element, shape)
      this.count()
    }
    return shape
  }

  count(): void {
    if (++this.#steps < MAX_STEPS) return
    // Steps already handed out stay valid: they only are no longer found again.
    this.#steps = 0
    this.#arrays = new Map()
    this.object = new Step('{', true)
    this.tuple = new Step('[', false)
  }
}

type Template = 0 | [Template, ...Template[]] | { [key: string]: Template }

/** Thrown for a shape or leaves that no encoder makes. The conversation turns it into a PROTOCOL error. */
export class ShapeError extends Error {}

// ── from its text ──────────────────────────────────────────────────────────────────────────────────────────────────

const isTemplate = (value: unknown, depth = 0): value is Template => {
  if (value === 0) return true
  if (typeof value !== 'object' || value === null || depth > 32) return false
  const parts: unknown[] = Array.isArray(value) ? value : Object.values(value)
  if (!parts.every((part) => isTemplate(part, depth + 1))) return false
  return !Array.isArray(value) || value.length > 1 || (value.length === 1 && hasLeaf(value[0] as Template))
}

const hasLeaf = (template: Template): boolean => template === 0 || Array.isArray(template) || Object.values(template).some(hasLeaf)

const templateOf = (text: ShapeText): Template => {
  let template: unknown
  try {
    template = text.length > MAX_TEXT ? undefined : parse(text)
  } catch {
    template = undefined
  }
  if (!isTemplate(template)) throw new ShapeError('a shape is not valid')
  return template
}

// ── how many leaves it takes ───────────────────────────────────────────────────────────────────────────────────────

/**
 * How many leaves a value takes: a number, or where that depends on the lengths of its arrays, what says at which leaf it ends that begins
 * at `at`.
 */
type Extent = number | ((leaves: readonly unknown[], at: number, end: number) => number)

const extentOf = (template: Template): Extent => {
  if (template === 0) return 1
  if (Array.isArray(template) && template.length === 1) return ofElements(extentOf(template[0]))
  const parts = Object.values(template).map(extentOf)
  const length = Array.isArray(template) ? 1 : 0
  if (parts.every((part) => typeof part === 'number')) return parts.reduce((sum, part) => sum + part, length)
  return (leaves, at, end) => {
    let next = at + length
    for (const part of parts) next = endOf(part, leaves, next, end)
    return next
  }
}

const ofElements =
  (element: Extent): Extent =>
  (leaves, at, end) => {
    const length = leaves[at]
    // Each takes a leaf at least: no length leads far beyond the end.
    if (!(Number.isInteger(length) && (length as number) >= 0 && (length as number) < end - at)) return tooLong()
    let next = at + 1
    if (typeof element === 'number') return next + (length as number) * element
    for (let k = 0; k < (length as number); k++) next = endOf(element, leaves, next, end)
    return next
  }

const endOf = (extent: Extent, leaves: readonly unknown[], at: number, end: number): number => {
  const next = typeof extent === 'number' ? at + extent : extent(leaves, at, end)
  return next > end ? tooLong() : next
}

const tooLong = (): never => {
  throw new ShapeError('an array is longer than its message')
}

// ── from its leaves ────────────────────────────────────────────────────────────────────────────────────────────────

/** Builds a value from its leaves, which begin at `at` and are as many as the shape takes. */
type Builder = (leaves: readonly unknown[], at: number) => unknown

/** Straight-line code for one shape. Safe by construction: all that varies in it is JSON.stringify of a key. */
const compile = (template: Template): Builder => {
  let names = 0
  const lines: string[] = []
  const emit = (part: Template): string => {
    const name = `v${names++}`
    if (part === 0) {
      lines.push(`const ${name}=m[i++];`)
    } else if (!Array.isArray(part)) {
      const fields = Object.keys(part).map((key) => `[${stringify(key)}]:${emit(part[key] ?? 0)}`)
      lines.push(
        `const ${name}={${fields.map((field) => field.replace(/^\["([A-Za-z_$][\w$]*)"\]:/, (whole, key: string) => (key === '__proto__' ? whole : `${key}:`)))}};`,
      )
    } else if (part.length === 1) {
      lines.push(`const n${name}=m[i++],${name}=new Array(n${name});for(let k=0;k<n${name};k++){`)
      const element = emit(part[0])
      lines.push(`${name}[k]=${element}}`)
    } else {
      lines.push('i++;')
      lines.push(`const ${name}=[${part.map((item) => emit(item)).join(',')}];`)
    }
    return name
  }
  const result = emit(template)
  // oxlint-disable-next-line typescript/no-implied-eval
  return new Function(`return (m,i)=>{${lines.join('')}return ${result}}`)() as Builder
}

const NO_LEAVES: readonly unknown[] = []

/** The same by walking the template: for shapes that come a few times only, where compiling would cost more than it saves. */
const interpret = (template: Template): Builder => {
  let leaves = NO_LEAVES
  let at = 0
  const build = (part: Template): unknown => {
    if (part === 0) return leaves[at++]
    if (!Array.isArray(part)) {
      const object = {}
      for (const key of Object.keys(part)) {
        Object.defineProperty(object, key, { value: build(part[key] ?? 0), writable: true, enumerable: true, configurable: true })
      }
      return object
    }
    const length = leaves[at++] as number
    if (part.length > 1) return part.map((item) => build(item))
    const element = part[0]
    const array: unknown[] = []
    for (let k = 0; k < length; k++) array.push(build(element))
    return array
  }
  return (given, from) => {
    leaves = given
    at = from
    const value = build(template)
    leaves = NO_LEAVES
    return value
  }
}

const COMPILE_AFTER = 8
const MAX_KNOWN = 4_096

interface Known {
  text: ShapeText
  template: Template
  extent: Extent
  builder: Builder
  uses: number
}

const known = new Map<ShapeText, Known>()
/** The one that was asked for last, which is often the next one too. */
let last: Known | undefined

const knownAs = (text: ShapeText): Known => {
  if (last !== undefined && text === last.text) return last
  let shape = known.get(text)
  if (shape === undefined) {
    const template = templateOf(text)
    if (known.size >= MAX_KNOWN) known.clear()
    shape = { text, template, extent: extentOf(template), builder: interpret(template), uses: 0 }
    known.set(text, shape)
  }
  last = shape
  return shape
}

const assertTakes = ({ extent }: Known, leaves: readonly unknown[], at: number, end: number): void => {
  if ((typeof extent === 'number' ? at + extent : extent(leaves, at, end)) !== end)
    throw new ShapeError('a value has not as many leaves as its shape')
}

/** Throws ShapeError unless the text is that of a shape which takes the leaves from `at` to before `end`, all of them. */
export const assertShaped = (text: ShapeText, leaves: readonly unknown[], at: number, end: number): void =>
  assertTakes(knownAs(text), leaves, at, end)

/**
 * The value of that shape whose leaves are those from `at` to before `end`. Throws ShapeError for a text that is no shape, and for other
 * leaves than it takes.
 */
export const buildValue = (text: ShapeText, leaves: readonly unknown[], at: number, end: number): unknown => {
  const shape = knownAs(text)
  assertTakes(shape, leaves, at, end)
  if (++shape.uses === COMPILE_AFTER && mayCompile()) shape.builder = compile(shape.template)
  return shape.builder(leaves, at)
}

/** Not under `--disallow-code-generation-from-strings`. */
const mayCompile = (): boolean => (compiles ??= compilesAny())
let compiles: boolean | undefined

const compilesAny = (): boolean => {
  try {
    compile(0)
    return true
  } catch {
    return false
  }
}
