/**
 * Semantic versions and ranges, by the semver package; loaded when the first range is met, as that is a quarter of what importing plugbay
 * would cost.
 */
import { createRequire } from 'node:module'
import { MAX_NAME } from './names.js'

interface Semver {
  satisfies(version: string, range: string, options?: { includePrerelease?: boolean }): boolean
  rcompare(a: string, b: string): number
  valid(version: string): string | null
  validRange(range: string): string | null
}

let loaded: Semver | undefined

const semver = (): Semver => {
  if (loaded) return loaded
  // Function by function: the whole package is twice as much to load.
  const require = createRequire(import.meta.url)
  loaded = {
    satisfies: require('semver/functions/satisfies.js') as Semver['satisfies'],
    rcompare: require('semver/functions/rcompare.js') as Semver['rcompare'],
    valid: require('semver/functions/valid.js') as Semver['valid'],
    validRange: require('semver/ranges/valid.js') as Semver['validRange'],
  }
  return loaded
}

/** Whether a version is in a range; a prerelease is only where the range names one of its version. */
export const satisfies = (version: string, range: string): boolean => semver().satisfies(version, range)

/** The same, where `*` and the empty range take every version, also a prerelease. */
export const fits = (version: string, range: string): boolean => range.trim() === '' || range.trim() === '*' || satisfies(version, range)

/** The same, where a prerelease counts as the version it leads to. */
export const satisfiesLoosely = (version: string, range: string): boolean => semver().satisfies(version, range, { includePrerelease: true })

/** Orders versions from the highest down. */
export const descending = (a: string, b: string): number => semver().rcompare(a, b)

export const isVersion = (text: string): boolean => semver().valid(text) !== null

/** A longer one than a name may be is none: each comparison in it is work for whoever finds a version by it. */
export const isRange = (text: string): boolean => text.length <= MAX_NAME && semver().validRange(text) !== null
