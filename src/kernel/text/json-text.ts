/** Parses JSON that people write, and says at which line and column it goes wrong. */

export interface JsonFault {
  line: number
  column: number
  reason: string
}

const SPACE = /[ \t\r\n]*/y
const STRING = /"(?:[ !#-[\]-\uffff]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"/y
const SCALAR = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null/y

/** Deeper nesting than this is not looked into: the fault is then reported where the depth is reached. */
const MAX_DEPTH = 512

/** Walks the text by the grammar of RFC 8259 and stops at the first place that breaks it. V8 does not always say where that is. */
class Walk {
  readonly #text: string
  #at = 0
  /** The first key that an object has a second time, where it stands then. */
  repeated: { at: number; key: string } | undefined

  constructor(text: string) {
    this.#text = text
  }

  fault(): { at: number; reason: string } | undefined {
    const reason = this.#value(0) ?? (this.#skip() < this.#text.length ? this.#unexpected('the end') : undefined)
    return reason === undefined ? undefined : { at: this.#at, reason }
  }

  #skip(): number {
    SPACE.lastIndex = this.#at
    SPACE.exec(this.#text)
    this.#at = SPACE.lastIndex
    return this.#at
  }

  #take(rule: RegExp): boolean {
    rule.lastIndex = this.#at
    if (!rule.test(this.#text)) return false
    this.#at = rule.lastIndex
    return true
  }

  #eat(character: string): boolean {
    this.#skip()
    if (this.#text[this.#at] !== character) return false
    this.#at++
    return true
  }

  #unexpected(expected: string): string {
    const found = this.#text[this.#skip()]
    if (found === undefined) return `the text ends where ${expected} was expected`
    if (this.#text.startsWith('//', this.#at) || this.#text.startsWith('/*', this.#at)) return 'JSON has no comments'
    if (found === "'") return "strings stand in double quotes, not in '"
    if (found === '"')
      return expected.includes('string') || expected === 'a value'
        ? 'this string does not end, or holds a bare line break or a bad escape'
        : `a string where ${expected} was expected`
    return `'${found}' where ${expected} was expected`
  }

  #value(depth: number): string | undefined {
    if (depth > MAX_DEPTH) return 'it is nested too deeply'
    if (this.#eat('{')) return this.#members('}', depth, true)
    if (this.#eat('[')) return this.#members(']', depth, false)
    this.#skip()
    return this.#take(STRING) || this.#take(SCALAR) ? undefined : this.#unexpected('a value')
  }

  #members(end: string, depth: number, keyed: boolean): string | undefined {
    if (this.#eat(end)) return undefined
    const keys = new Set<string>()
    for (;;) {
      if (keyed) {
        const start = this.#skip()
        if (!this.#take(STRING))
          return this.#text[this.#at] === end ? `a comma before '${end}'` : this.#unexpected('a key (a string in double quotes)')
        const key = this.#text.slice(start, this.#at)
        if (keys.has(key)) this.repeated ??= { at: start, key }
        keys.add(key)
        if (!this.#eat(':')) return this.#unexpected("':'")
      } else if (this.#text[this.#skip()] === end) return `a comma before '${end}'`
      const reason = this.#value(depth + 1)
      if (reason !== undefined) return reason
      if (this.#eat(end)) return undefined
      if (!this.#eat(',')) return this.#unexpected(`',' or '${end}'`)
    }
  }
}

/** Line and column, from 1, of an offset in a text. */
export const positionOf = (text: string, offset: number): { line: number; column: number } => {
  const before = text.slice(0, offset)
  const start = before.lastIndexOf('\n') + 1
  return { line: before.split('\n').length, column: offset - start + 1 }
}

/** The value, or where and why the text is not JSON. A byte order mark is let pass. */
export const parseJson = (raw: string): { value: unknown } | { fault: JsonFault } => {
  const text = raw.replace(/^\uFEFF/, '')
  try {
    return { value: JSON.parse(text) as unknown }
  } catch (error) {
    const found = new Walk(text).fault() ?? { at: 0, reason: error instanceof Error ? error.message : 'it is not JSON' }
    return { fault: { ...positionOf(text, found.at), reason: found.reason } }
  }
}

/** How many keys its objects have, in all, however deep they lie. */
const keysIn = (value: unknown): number => {
  const open: unknown[] = [value]
  let count = 0
  for (let part = open.pop(); part !== undefined; part = open.pop()) {
    if (typeof part !== 'object' || part === null) continue
    const inner: unknown[] = Object.values(part)
    if (!Array.isArray(part)) count += inner.length
    for (const each of inner) if (typeof each === 'object' && each !== null) open.push(each)
  }
  return count
}

/** The same, and a key that an object has twice is a fault: JSON itself takes the last, silently. */
export const parseUniqueJson = (raw: string): ReturnType<typeof parseJson> => {
  const parsed = parseJson(raw)
  // Each key ends so, and little else does: the walk takes a hundred times as long as the count.
  if ('fault' in parsed || (raw.match(/"\s*:/g)?.length ?? 0) === keysIn(parsed.value)) return parsed
  const text = raw.replace(/^\uFEFF/, '')
  const walk = new Walk(text)
  walk.fault()
  const { repeated } = walk
  return repeated === undefined ? parsed : { fault: { ...positionOf(text, repeated.at), reason: `the key ${repeated.key} is there twice` } }
}
