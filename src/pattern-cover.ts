/** Whether patterns allow all that another pattern can match: what a permission to subscribe or to publish is held against. */

/**
 * So many places are looked at for one answer, and so many more for each pattern that is allowed: those that a person writes take a part of
 * it. Then the answer is no: whoever asks waits for no one's riddles.
 */
const MOST_LOOKS = 8_192
const LOOKS_OF_ONE = 8

/** The segments of all patterns in one row, each pattern ended by null. */
type Row = readonly (string | null)[]
/** A set of places in the row: their numbers, from the first to the last, of which one may be there twice. */
type Places = readonly number[]

/** The same places, each once, and those reached from them without a segment: `**` may stand for none. */
const settled = (row: Row, places: Places): Places => {
  const all: number[] = []
  let next = 0
  for (const place of places) {
    if (place < next) continue
    next = place
    do all.push(next)
    while (row[next++] === '**')
  }
  return all
}

/** The places reached by one segment; null is a segment that no pattern names. */
const after = (row: Row, places: Places, given: string | null): Places => {
  const reached: number[] = []
  for (const at of places) {
    const segment = row[at]
    if (segment === '**') reached.push(at)
    else if (segment === '*' || (segment !== null && segment === given)) reached.push(at + 1)
  }
  return settled(row, reached)
}

export class PatternCover {
  readonly #allowed: ReadonlySet<string>
  readonly #row: Row
  readonly #first: Places
  readonly #most: number

  /** `allowed`: valid patterns. */
  constructor(allowed: readonly string[]) {
    const row: (string | null)[] = []
    const first: number[] = []
    for (const each of allowed) {
      first.push(row.length)
      row.push(...each.split('.'), null)
    }
    this.#allowed = new Set(allowed)
    this.#row = row
    this.#first = settled(row, first)
    this.#most = MOST_LOOKS + LOOKS_OF_ONE * allowed.length
  }

  /**
   * Whether every topic that `pattern`, a valid one, matches is matched by one of those that are allowed.
   *
   * A segment that no pattern names is the hardest to match: only a wildcard takes it, and a wildcard takes any other in its place. So it
   * stands for each `*` of `pattern`, and any number of it for each `**`; the places in `allowed` where that can lead are followed side by
   * side.
   */
  covers(pattern: string): boolean {
    if (this.#allowed.has('**') || this.#allowed.has(pattern)) return true
    const row = this.#row
    // A topic has at least one segment.
    const segments = (/^\*\*(?:\.\*\*)*$/.test(pattern) ? `*.${pattern}` : pattern).split('.')
    let looks = 0
    let ways: ReadonlyMap<string, Places> = new Map([['', this.#first]])
    for (const segment of segments) {
      const next = new Map<string, Places>()
      for (const way of ways.values()) {
        let places = segment === '**' ? way : after(row, way, segment === '*' ? null : segment)
        looks += way.length
        for (let known = places.join(); !next.has(known); known = places.join()) {
          looks += places.length
          if (places.length === 0 || looks > this.#most) return false
          next.set(known, places)
          if (segment === '**') places = after(row, places, null)
        }
      }
      ways = next
    }
    return [...ways.values()].every((places) => places.some((at) => row[at] === null))
  }
}

/** The same, asked once. */
export const covers = (allowed: readonly string[], pattern: string): boolean => new PatternCover(allowed).covers(pattern)
