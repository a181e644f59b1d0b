/** A path that leads to nothing: which name in it was likely meant. */
import { existsSync, readdirSync, readlinkSync } from 'node:fs'
import { basename, dirname } from 'node:path'
import { didYouMean } from '../../nearest.js'

/** None for what is no folder. */
export const namesIn = (folder: string): string[] => {
  try {
    return readdirSync(folder)
  } catch {
    return []
  }
}

/** Where the link at a path leads to; undefined for what is no link. */
export const targetOf = (path: string): string | undefined => {
  try {
    return readlinkSync(path)
  } catch {
    return undefined
  }
}

/**
 * ` Did you mean 'x'?`, about the first name on the way that is not there, or that it is a link to nothing; or an empty text. `fits` says
 * which names can be meant at the end of the path.
 */
export const didYouMeanPath = (path: string, fits: (name: string) => boolean = () => true): string => {
  if (!existsSync(dirname(path))) return didYouMeanPath(dirname(path))
  const target = targetOf(path)
  if (target !== undefined) return ` It is a link to '${target}', which is not there.`
  const name = basename(path)
  const fitting = namesIn(dirname(path)).filter((each) => each !== name && fits(each))
  // Only the ending was left out.
  const whole = fitting.find((each) => each.startsWith(`${name}.`))
  return whole === undefined ? didYouMean(name, fitting) : ` Did you mean '${whole}'?`
}

/** Names shown of those that are there instead. */
export const SHOWN = 8

/** The same, or else what is there instead of what fits: `what` is its plural. */
export const mendOfPath = (path: string, what: string, fits: (name: string) => boolean): string => {
  const likely = didYouMeanPath(path, fits)
  if (likely !== '') return likely
  const names = namesIn(dirname(path)).filter(fits)
  return names.length > 0
    ? ` ${what} there: ${names.slice(0, SHOWN).join(', ')}.`
    : ` There are no ${what.toLowerCase()} there: correct the path.`
}

export const isMissing = (error: unknown): boolean => error instanceof Error && 'code' in error && error.code === 'ENOENT'
