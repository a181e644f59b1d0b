/** The shape of a plain value: its structure without its leaves, interned so that a value is recognised without building text. */

/**
 * Text of a shape, as it crosses the wire; strict JSON, so that a receiver parses it rather than trusts it:
 * `0` a leaf, `{"key":shape,…}` an object, `[shape]` an array of any length of one shape (its length is the first leaf),
 * `[shape,shape,…]` an array of mixed shapes (its length is the first leaf too).
 */
export type ShapeText = string

/** The text of the shape of a leaf. */
export const LEAF_SHAPE: ShapeText = '0'

/** A known structure. Identity is equality: two values of the same structure share one Shape. */
export interface Shape {
  readonly text: ShapeText
}

/** Shapes beyond this many steps are forgotten and learned anew: objects used as dictionaries would otherwise grow them for ever. */
const MAX_STEPS = 20_000

/**
 * Shapes do not grow beyond this many characters: each step keeps the text up to it, so an object with thousands of keys would cost memory
 * by the square of their number.
 */
const MAX_TEXT = 4_096

/** One step on the way along an object's keys or an array's elements. Remembers its last successor, which is nearly always the next one too. */
class Step {
  #lastKey: string | undefined
  #lastChild: Shape | undefined
  #last: Step | undefined
  #next: Map<string, Map<Shape, Step>> | undefined
  #shape: Shape | undefined
  readonly #text: string

  constructor(text: string) {
    this.#text = text
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
    if (this.#text.length + key.length + child.text.length > MAX_TEXT) return TOO_LONG
    this.#next ??= new Map()
    let byChild = this.#next.get(key)
    if (byChild === undefined) this.#next.set(key, (byChild = new Map()))
    let step = byChild.get(child)
    if (step === undefined) {
      const separator = this.#text.length > 1 ? ',' : ''
      const label = this.#text.startsWith('{') ? `${JSON.stringify(key)}:` : ''
      step = new Step(`${this.#text}${separator}${label}${child.text}`)
      byChild.set(child, step)
      book.count()
    }
    return step
  }

  /** The shape of a value that ends at this step. */
  get shape(): Shape {
    return (this.#shape ??= { text: this.#text + (this.#text.startsWith('{') ? '}' : ']') })
  }
}

/** Where a shape would grow too long: a dead end. */
export const TOO_LONG = new Step('')

/** A primitive, or a value that the platform clones whole. */
export const LEAF: Shape = { text: LEAF_SHAPE }

/** The shapes one thread has met. */
export class ShapeBook {
  #steps = 0
  #arrays = new Map<Shape, Shape>()
  object = new Step('{')
  tuple = new Step('[')

  /** An array whose elements all have one shape. */
  arrayOf(element: Shape): Shape {
    let shape = this.#arrays.get(element)
    if (shape === undefined) {
      shape = { text: `[${element.text}]` }
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
    this.object = new Step('{')
    this.tuple = new Step('[')
  }
}

/** Builds a value from its leaves, starting at `at`; the leaves are trusted in type but not in number. */
export type Builder = (leaves: readonly unknown[], at: number) => unknown

type Template = 0 | [Template, ...Template[]] | { [key: string]: Template }

/** Thrown for a shape or leaves that no encoder makes. The conversation turns it into a PROTOCOL error. */
export class ShapeError extends Error {}

const isTemplate = (value: unknown, depth = 0): value is Template => {
  if (value === 0) return true
  if (typeof value !== 'object' || value === null || depth > 32) return false
  if (Array.isArray(value)) return value.length > 0 && value.every((item) => isTemplate(item, depth + 1))
  return Object.values(value).every((item) => isTemplate(item, depth + 1))
}

/** Straight-line code for one shape. Safe by construction: all that varies in it is JSON.stringify of a key. */
const compile = (template: Template): Builder => {
  let names = 0
  const lines: string[] = []
  const emit = (part: Template): string => {
    const name = `v${names++}`
    if (part === 0) {
      lines.push(`const ${name}=m[i++];`)
    } else if (!Array.isArray(part)) {
      const fields = Object.keys(part).map((key) => `[${JSON.stringify(key)}]:${emit(part[key] ?? 0)}`)
      lines.push(
        `const ${name}={${fields.map((field) => field.replace(/^\["([A-Za-z_$][\w$]*)"\]:/, (whole, key: string) => (key === '__proto__' ? whole : `${key}:`)))}};`,
      )
    } else if (part.length === 1) {
      lines.push(
        `const n${name}=m[i++];if(!(isInteger(n${name})&&n${name}>=0&&n${name}<=m.length))bad();const ${name}=new Array(n${name});for(let k=0;k<n${name};k++){`,
      )
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
  const make = new Function('bad', 'isInteger', `return (m,i)=>{${lines.join('')}return ${result}}`) as (
    bad: () => never,
    isInteger: (length: unknown) => boolean,
  ) => Builder
  return make(() => {
    throw new ShapeError('an array is longer than its message')
  }, Number.isInteger)
}

/** The same by walking the template: for shapes that come a few times only, where compiling would cost more than it saves. */
const interpret = (template: Template): Builder => {
  let leaves: readonly unknown[] = []
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
    if (!(Number.isInteger(length) && length >= 0 && length <= leaves.length)) throw new ShapeError('an array is longer than its message')
    const element = part[0]
    const array: unknown[] = []
    for (let k = 0; k < length; k++) array.push(build(element))
    return array
  }
  return (given, from) => {
    leaves = given
    at = from
    return build(template)
  }
}

const COMPILE_AFTER = 8
const MAX_BUILDERS = 4_096

interface Known {
  builder: Builder
  template: Template
  uses: number
}

const known = new Map<ShapeText, Known>()

/** The builder for a shape. Throws ShapeError for a text that is no shape. */
export const builderFor = (text: ShapeText): Builder => {
  let entry = known.get(text)
  if (entry === undefined) {
    let template: unknown
    try {
      template = JSON.parse(text)
    } catch {
      template = undefined
    }
    if (!isTemplate(template)) throw new ShapeError('a shape is not valid')
    if (known.size >= MAX_BUILDERS) known.clear()
    entry = { builder: interpret(template), template, uses: 0 }
    known.set(text, entry)
  }
  if (++entry.uses === COMPILE_AFTER) entry.builder = compile(entry.template)
  return entry.builder
}
