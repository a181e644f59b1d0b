/** What could not be undone, as it is told. */
import type { Leftover } from '../../scope.js'
import { reasonOf } from '../../wire-error.js'

export const labelsOf = (leftovers: readonly Leftover[]): string[] => leftovers.map(({ label, error }) => `${label}: ${reasonOf(error)}`)
