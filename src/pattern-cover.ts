/** Whether patterns allow all that another pattern can match: what a permission to subscribe is held against. */

/** More ways through the patterns than this are not followed: no pattern that a person writes comes near, and the answer is no then. */
const MAX_WAYS = 512

/** The segments of all patterns in one row, each pattern ended by null; a set of places in the row is a number with a bit for each. */
type Row = readonly (string | null)[]

/** The same places, and those reached from them without a segment: `**` may stand for none. */
const settled = (row: Row, places: bigint): bigint => {
  let all = places
  for (const [at, segment] of row.entries()) if (segment === '**' && (all >> BigInt(at)) & 1n) all |= 1n << BigInt(at + 1)
  return all
}

/** The places reached by one segment; null is a segment that no pattern names. */
const after = (row: Row, places: bigint, given: string | null): bigint => {
  let reached = 0n
  for (const [at, segment] of row.entries()) {
    if (segment === null || ((places >> BigInt(at)) & 1n) === 0n) continue
    if (segment === '**') reached |= 1n << BigInt(at)
    else if (segment === '*' || segment === given) reached |= 1n << BigInt(at + 1)
  }
  return settled(row, reached)
}

/**
 * Whether every topic that `pattern` matches is matched by one of `allowed`, all of them valid patterns.
 *
 * A segment that no pattern names is the hardest to match: only a wildcard takes it, and a wildcard takes any other in its place. So it stands
 * for each `*` of `pattern`, and any number of it for each `**`; the places in `allowed` where that can lead are followed side by side.
 */
export const covers = (allowed: readonly string[], pattern: string): boolean => {
  if (allowed.includes('**') || allowed.includes(pattern)) return true
  const row: (string | null)[] = []
  let first = 0n
  for (const each of allowed) {
    first |= 1n << BigInt(row.length)
    row.push(...each.split('.'), null)
  }
  let ends = 0n
  for (const [at, segment] of row.entries()) if (segment === null) ends |= 1n << BigInt(at)
  // A topic has at least one segment.
  const segments = (/^\*\*(?:\.\*\*)*$/.test(pattern) ? `*.${pattern}` : pattern).split('.')
  let ways = new Set([settled(row, first)])
  for (const segment of segments) {
    const next = new Set<bigint>()
    for (const way of ways) {
      let places = segment === '**' ? way : after(row, way, segment === '*' ? null : segment)
      while (!next.has(places)) {
        if (places === 0n || next.size >= MAX_WAYS) return false
        next.add(places)
        if (segment === '**') places = after(row, places, null)
      }
    }
    ways = next
  }
  return [...ways].every((places) => (places & ends) !== 0n)
}
