/** Who decided where a plugin runs, and what would change that, as people read it. */
import type { ProjectPlugin } from './project.js'

/** `manifest`, or `default, process after 3 faults`. */
export const chosenBy = ({ placement, demote }: ProjectPlugin): string =>
  demote === undefined ? placement.from : `${placement.from}, process after ${demote.after} ${demote.after === 1 ? 'fault' : 'faults'}`
