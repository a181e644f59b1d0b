/** A path that leads to nothing: which name in it was likely meant. */
import { readdirSync } from 'node:fs'
import { basename, dirname } from 'node:path'
import { didYouMean } from '../nearest.js'

/** None for what is no folder. */
export const namesIn = (folder: string): string[] => {
  try {
    return readdirSync(folder)
  } catch {
    return []
  }
}

/** ` Did you mean 'x'?`, about the first name on the way that is not there; or nothing. `fits` says which names can be meant at the end of the path. */
export const didYouMeanPath = (path: string, fits: (name: string) => boolean = () => true): string => {
  const names = namesIn(dirname(path))
  if (names.length === 0 && path !== dirname(path)) return didYouMeanPath(dirname(path))
  const name = basename(path)
  const fitting = names.filter(fits)
  // Only the ending was left out.
  const whole = fitting.find((each) => each.startsWith(`${name}.`))
  return whole === undefined ? didYouMean(name, fitting) : ` Did you mean '${whole}'?`
}

export const isMissing = (error: unknown): boolean => error instanceof Error && 'code' in error && error.code === 'ENOENT'
