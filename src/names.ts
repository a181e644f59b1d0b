/**
 * How long a name may be that one plugin gives and others read: of a topic or pattern, a service or its method, a version or a range of
 * them.
 */

/** In UTF-16 code units. */
export const MAX_NAME = 256

/** What is wrong with the length of a name, if anything: the rest of a sentence that begins with it. */
export const lengthFault = (name: string): string | undefined =>
  name.length > MAX_NAME ? `has ${name.length} characters, more than ${MAX_NAME}` : undefined
