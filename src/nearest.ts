/** The nearest valid name to a mistaken one, for the tail of an error message. */
import { distance } from 'fastest-levenshtein'

/** A longer name is no slip of the fingers, and is not sought. */
const MAX_LENGTH = 64
/** So many candidates are measured: who asks may have chosen the name, and others the candidates. */
const MAX_MEASURED = 100

/**
 * The candidate closest to `name`, if one is close enough to be a likely slip: at most a third of its letters differ (or two,
 * in a short name), and not all of them. What it takes is bounded.
 */
export const nearest = (name: string, candidates: Iterable<string>): string | undefined => {
  if (name.length > MAX_LENGTH) return undefined
  let best: string | undefined
  let least = Math.max(2, Math.floor(name.length / 3)) + 1
  let measured = 0
  const wanted = name.toLowerCase()
  for (const candidate of candidates) {
    if (Math.abs(candidate.length - name.length) >= least) continue
    if (++measured > MAX_MEASURED) break
    const gap = distance(wanted, candidate.toLowerCase())
    if (gap < least && gap < Math.max(name.length, candidate.length)) [best, least] = [candidate, gap]
  }
  return best
}

/** ` Did you mean 'x'?`, or nothing: ready to append to a sentence. */
export const didYouMean = (name: string, candidates: Iterable<string>): string => {
  const found = nearest(name, candidates)
  return found === undefined ? '' : ` Did you mean '${found}'?`
}
