/** What a value takes to be built that V8 has written down: weighed in its bytes, as three of them may stand for an object. */

/** So few bytes are read in no time, by whoever takes values of up to 64 MiB, whatever they stand for. */
const SHORT = 256 * 1_024
/** What is written before each value: a mark, and the version. */
const HEADER_BYTES = 2
let header: Uint8Array | undefined
/** Not every place loads what knows it. */
const currentHeader = (): Uint8Array => (header ??= process.getBuiltinModule('node:v8').serialize(null).subarray(0, HEADER_BYTES))

/** A plugin may change what it finds in the realm: taken before it runs, and what is here calls nothing else of it. */
const { apply } = Reflect
const { includes } = Uint8Array.prototype
const has = (bytes: Uint8Array, byte: number): boolean => apply(includes, bytes, [byte])

/** No value is nested so deep. */
const MOST_OPEN = 4_096
/**
 * What is open around a part, by its tag: of an error the parts have tags of their own, but for its cause. One value is weighed at a time.
 */
const open = new Uint8Array(MOST_OPEN)

/** A part weighs by what it takes to be built: a number is the unit. */
const OBJECT = 4
/** A place that is made and not written weighs as much as these: nobody has them by accident. */
const BYTES = 8
const PORT = 256

/** What a tag means. */
interface Rule {
  weight: number
  /** What follows it: bytes, a text with its own tag, numbers of variable length, bytes after their count (a bigint's counts twice). */
  bytes: number
  text: boolean
  numbers: number
  counted: boolean
  bigint: boolean
  opens: boolean
  closes: boolean
}
/** All of one form: it is read for each part. */
const rule = (weight: number, said: Partial<Rule> = {}): Rule => ({
  weight,
  bytes: 0,
  text: false,
  numbers: 0,
  counted: false,
  bigint: false,
  opens: false,
  closes: false,
  ...said,
})

const OF_TAG: Readonly<Record<string, Rule>> = {
  // Padding, a hole, undefined, null, true and false, alone and as objects; a count for debugging.
  '\0': rule(1),
  '-': rule(1),
  _: rule(1),
  '0': rule(1),
  T: rule(1),
  F: rule(1),
  y: rule(OBJECT),
  x: rule(OBJECT),
  '?': rule(1, { numbers: 1 }),
  // Numbers, references, dates, bigints.
  I: rule(1, { numbers: 1 }),
  U: rule(1, { numbers: 1 }),
  N: rule(1, { bytes: 8 }),
  '^': rule(1, { numbers: 1 }),
  n: rule(OBJECT, { bytes: 8 }),
  D: rule(OBJECT, { bytes: 8 }),
  Z: rule(OBJECT, { bigint: true }),
  z: rule(OBJECT, { bigint: true }),
  // Texts, as objects too.
  '"': rule(OBJECT, { counted: true }),
  c: rule(OBJECT, { counted: true }),
  S: rule(OBJECT, { counted: true }),
  s: rule(OBJECT, { text: true }),
  // Objects, arrays, maps and sets, and their ends.
  o: rule(OBJECT, { opens: true }),
  '{': rule(1, { numbers: 1, closes: true }),
  '@': rule(1, { numbers: 2, closes: true }),
  A: rule(OBJECT, { numbers: 1, opens: true }),
  $: rule(1, { numbers: 2, closes: true }),
  ';': rule(OBJECT, { opens: true }),
  ':': rule(1, { numbers: 1, closes: true }),
  "'": rule(OBJECT, { opens: true }),
  ',': rule(1, { numbers: 1, closes: true }),
  // Buffers, in place and moved, and views of them, ports, errors.
  B: rule(OBJECT, { counted: true }),
  t: rule(OBJECT, { numbers: 1 }),
  V: rule(OBJECT, { bytes: 1, numbers: 3 }),
  '\\': rule(PORT, { numbers: 1 }),
  r: rule(OBJECT, { opens: true }),
}

const code = (character: string): number => character.charCodeAt(0)
// A thread makes these as it boots: in as few steps as there are tags.
const RULES = new Array<Rule | undefined>(256).fill(undefined)
for (const [tag, found] of Object.entries(OF_TAG)) RULES[code(tag)] = found
const [RESIZABLE, SPARSE, ERROR, END, CAUSE, VIEW, PADDING, HOST, REGEXP] = Array.from('~ar.cV\0\\R', code) as [
  number,
  number,
  number,
  number,
  number,
  number,
  number,
  number,
  number,
]
const [E, F, R, S, T, U, MESSAGE, STACK, ONE_BYTE, TWO_BYTE, UTF8] = Array.from('EFRSTUms"cS', code)
const isKindOfError = (tag: number): boolean => tag === E || tag === F || tag === R || tag === S || tag === T || tag === U
const isTextOfError = (tag: number): boolean => tag === MESSAGE || tag === STACK
const isText = (tag: number | undefined): boolean => tag === ONE_BYTE || tag === TWO_BYTE || tag === UTF8

/** How a value is written, and how it is weighed. */
export interface Written {
  /** So many bytes are not looked at, but for what may stand for far more than it takes to write it. */
  short: number
  /** Views of buffers stand in it as `node:v8` writes them, by kind, length and bytes; and not ports, by number. */
  views: boolean
  /** This place has written it just now, by the version that it reads. */
  own?: boolean
}

const IN_A_FRAME: Written = { short: SHORT, views: false }

/**
 * Throws a RangeError for a value that weighs more than `most` or has a regular expression in it, and for bytes that V8 would not write.
 * Nothing is built: who reads a regular expression compiles it, and twelve characters of one can stand for milliseconds and for all the
 * memory that there is.
 */
export const assertWeight = (bytes: Uint8Array, most: number, { short, views, own }: Written = IN_A_FRAME): void => {
  const { length } = bytes
  if (length <= short && !has(bytes, SPARSE) && !has(bytes, RESIZABLE) && !has(bytes, REGEXP)) return
  if (!own) {
    const [mark, version] = currentHeader()
    if (bytes[0] !== mark || bytes[1] !== version) throw new RangeError('a value is of another version')
  }
  let at = HEADER_BYTES
  let weight = 0
  let depth = 0
  let inner = PADDING

  const number = (): number => {
    let found = 0
    for (let shift = 0; ; shift += 7) {
      // Beyond the end there is none, which ends it too.
      const byte = bytes[at++] as number
      found += shift < 28 ? (byte & 0x7f) << shift : (byte & 0x7f) * 2 ** shift
      if (!(byte & 0x80)) return found
    }
  }
  const skip = (count: number): void => void (at += count)
  const text = (): void => {
    let tag = bytes[at++]
    while (tag === PADDING) tag = bytes[at++]
    if (!isText(tag)) throw new RangeError('a text is none')
    skip(number())
  }
  const enter = (tag: number): void => {
    if (depth === MOST_OPEN) throw new RangeError(`a value is nested more than ${MOST_OPEN} deep`)
    open[depth++] = tag
    inner = tag
  }
  const leave = (): void => {
    depth--
    inner = open[depth - 1] ?? PADDING
  }
  /** A value has ended: if it was the cause of an error, and is not seen through a view yet, the error goes on. */
  const ended = (): void => {
    if (inner === CAUSE && bytes[at] !== VIEW) leave()
  }
  const partOfError = (tag: number): void => {
    weight++
    if (tag === CAUSE) enter(CAUSE)
    else if (isTextOfError(tag)) text()
    else if (tag === END) {
      leave()
      ended()
    } else if (!isKindOfError(tag)) throw new RangeError(`no error has a part of kind ${tag}`)
  }
  /** Its most bytes are reserved at once. */
  const resizable = (): void => {
    const size = number()
    weight += OBJECT + number()
    skip(size)
  }
  /** All its places are made at once, however few of them are taken. */
  const sparse = (): void => {
    weight += OBJECT + BYTES * number()
    enter(SPARSE)
  }
  const part = (tag: number): void => {
    const found = RULES[tag]
    if (tag === HOST && views) {
      weight += OBJECT
      number()
      skip(number())
    } else if (tag === SPARSE) return sparse()
    else if (tag === REGEXP)
      throw new RangeError('a RegExp is in it, which who reads it would have to compile: send its source and its flags')
    else if (found === undefined) {
      if (tag !== RESIZABLE) throw new RangeError(`no value has a part of kind ${tag}`)
      resizable()
    } else {
      weight += found.weight
      at += found.bytes
      if (found.text) text()
      for (let left = found.numbers; left > 0; left--) number()
      if (found.counted) skip(number())
      else if (found.bigint) skip(number() >>> 1)
      if (found.opens) return enter(tag)
      if (found.closes) leave()
    }
    if (inner === CAUSE && tag !== PADDING) ended()
  }

  while (at < length) {
    const tag = bytes[at++] as number
    if (inner === ERROR) partOfError(tag)
    else part(tag)
    if (weight > most) throw new RangeError(`a value of ${length} bytes has too many parts: they weigh more than ${most}`)
  }
  if (at > length) throw new RangeError('a value is cut short')
}
