/** Text that a plugin or its manifest may have written, as it may be shown on a terminal: what that would obey is shown instead. */

/**
 * Characters that a terminal obeys, or that turn the order of what is read: C0 and C1, line separators, marks of direction. Tabs are let
 * be, and line breaks, which are for the caller to deal with.
 */
// oxlint-disable-next-line no-control-regex
const OBEYED = /\r(?!\n)|[\0-\x08\v\f\x0e-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]/g

const escaped = (character: string): string => {
  const code = character.charCodeAt(0)
  return code > 0xff ? `\\u${code.toString(16)}` : `\\x${code.toString(16).padStart(2, '0')}`
}

export const visible = (text: string): string => text.replace(OBEYED, escaped)

/** The same on one line. */
export const visibleLine = (text: string): string => visible(text).replace(/\r?\n/g, String.raw`\n`)
