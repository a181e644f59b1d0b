/** Pieces that sentences are made of. */

/** A label as the beginning of one. */
export const asBeginning = (label: string): string => label.charAt(0).toUpperCase() + label.slice(1)

/** One that another goes on from: without its full stop. */
export const unended = (sentence: string): string => sentence.replace(/\.$/, '')

/** `a, b, and 7 more`: the first of so many. */
export const enumerated = (first: readonly string[], of: number, separator = ', '): string =>
  [...first, ...(of > first.length ? [`and ${of - first.length} more`] : [])].join(separator)

/** `1 plugin`, `2 plugins`. */
export const counted = (number: number, noun: string): string => `${number} ${noun}${number === 1 ? '' : 's'}`
