/** A label as the beginning of a sentence. */
export const asBeginning = (label: string): string => label.charAt(0).toUpperCase() + label.slice(1)
