/** The grammar of topics and patterns, and what it means for one to match the other. */
import { shown } from './arguments.js'
import { PlugbayError } from './errors.js'
import { MAX_NAME } from './names.js'

/** The longest topic or pattern, in UTF-16 code units. */
export const MAX_TOPIC_LENGTH = MAX_NAME
/** The most segments in a topic or pattern. */
export const MAX_TOPIC_SEGMENTS = 32

/** Whitespace and control characters. `\p{Cc}` would say it too, but that is looked up, which every thread would wait for as it starts. */
const BLANK = String.raw`\s\0-\x1f\x7f-\x9f`
const SEGMENT = `[^${BLANK}.*]+`
const WILDCARD = String.raw`\*\*?`
const TOPIC = new RegExp(String.raw`^${SEGMENT}(?:\.${SEGMENT})*$`, 'u')
const PATTERN = new RegExp(String.raw`^(?:${WILDCARD}|${SEGMENT})(?:\.(?:${WILDCARD}|${SEGMENT}))*$`, 'u')
const UNSEEN = new RegExp(`[${BLANK}]`, 'u')

interface Fault {
  /** Offset of the first offending character. */
  at?: number
  what: string
  mend: string
}

const kindOf = (value: unknown): string => {
  if (value === null || value === undefined) return String(value)
  return typeof value === 'object' ? 'an object' : `a ${typeof value}`
}

const faultOf = (text: unknown, wildcards: boolean): Fault => {
  if (typeof text !== 'string') return { what: `is ${kindOf(text)}, not a string`, mend: "Give a string such as 'user.login'." }
  if (text === '') return { what: 'is empty', mend: "Give at least one segment, such as 'user.login'." }
  if (text.length > MAX_TOPIC_LENGTH) {
    return {
      at: MAX_TOPIC_LENGTH,
      what: `has ${text.length} characters, more than ${MAX_TOPIC_LENGTH}`,
      mend: 'Put what is long into the data.',
    }
  }
  const segments = text.split('.')
  if (segments.length > MAX_TOPIC_SEGMENTS) {
    const at = segments.slice(0, MAX_TOPIC_SEGMENTS).join('.').length
    return { at, what: `has ${segments.length} segments, more than ${MAX_TOPIC_SEGMENTS}`, mend: 'Use fewer dots.' }
  }
  let at = 0
  for (const segment of segments) {
    if (segment === '') return { at, what: 'has an empty segment', mend: 'Join segments by single dots, with none at the start or end.' }
    const unseen = segment.search(UNSEEN)
    if (unseen >= 0) {
      return { at: at + unseen, what: `has ${JSON.stringify(segment[unseen])} in it`, mend: 'Leave out whitespace and control characters.' }
    }
    const star = segment.indexOf('*')
    if (star >= 0 && !wildcards)
      return {
        at: at + star,
        what: "has a '*' in it",
        mend: 'Wildcards belong in the pattern of a subscription; publish to one exact topic.',
      }
    if (star >= 0 && segment !== '*' && segment !== '**') {
      return {
        at: at + star,
        what: `mixes a wildcard with other text in the segment '${segment}'`,
        mend: "Use '*' (one segment) or '**' (any number) as a whole segment.",
      }
    }
    at += segment.length + 1
  }
  return { what: 'is not valid', mend: "Join segments by dots, such as 'user.login'." }
}

const refuse = (code: 'TOPIC_INVALID' | 'PATTERN_INVALID', noun: string, text: unknown): never => {
  const { at, what, mend } = faultOf(text, code === 'PATTERN_INVALID')
  const where = at === undefined ? '' : ` at position ${at}`
  throw new PlugbayError(code, `${noun}${typeof text === 'string' ? ` ${shown(text)}` : ''} ${what}${where}. ${mend}`, {
    details: { value: typeof text === 'string' ? text : typeof text, ...(at === undefined ? {} : { position: at }) },
  })
}

const tooManySegments = (text: string): boolean => {
  // A topic this short cannot have too many: a segment and its dot take two characters.
  if (text.length < MAX_TOPIC_SEGMENTS * 2) return false
  let segments = 1
  for (let dot = text.indexOf('.'); dot >= 0; dot = text.indexOf('.', dot + 1)) segments++
  return segments > MAX_TOPIC_SEGMENTS
}

const valid = (text: unknown, grammar: RegExp): boolean =>
  typeof text === 'string' && text.length <= MAX_TOPIC_LENGTH && grammar.test(text) && !tooManySegments(text)

/** Checks a topic: one or more non-empty segments joined by dots, no wildcard. Throws `TOPIC_INVALID` saying what, where and what to do. */
export function assertTopic(topic: unknown): asserts topic is string {
  if (!valid(topic, TOPIC)) refuse('TOPIC_INVALID', 'The topic', topic)
}

/** Checks a topic that a plugin publishes on: only the kernel speaks under `kernel.`. Throws `TOPIC_INVALID`. */
export function assertPluginTopic(topic: unknown, plugin: string): asserts topic is string {
  assertTopic(topic)
  if (topic === 'kernel' || topic.startsWith('kernel.')) {
    throw new PlugbayError(
      'TOPIC_INVALID',
      `Plugin '${plugin}' may not publish '${topic}': topics under 'kernel.' are the kernel's own. Choose another first segment.`,
      { plugin, details: { value: topic, position: 0 } },
    )
  }
}

/**
 * Checks a pattern: as a topic, with `*` and `**` allowed as whole segments. Throws `PATTERN_INVALID` saying what, where and what to do.
 */
export function assertPattern(pattern: unknown): asserts pattern is string {
  if (pattern === lastValid) return
  if (!valid(pattern, PATTERN)) refuse('PATTERN_INVALID', 'The pattern', pattern)
  lastValid = pattern
}
/** On its way to the bus the same pattern is looked at by several, one after the other. */
let lastValid: unknown

/** Whether {@link assertPattern} accepts it. */
export const isPattern = (pattern: unknown): pattern is string => valid(pattern, PATTERN)

/** Whether a pattern names more than one exact topic. */
export const hasWildcard = (pattern: string): boolean => pattern.includes('*')

/** {@link matches} on segments that are already apart. */
export const matchesSegments = (pattern: readonly string[], topic: readonly string[]): boolean => {
  // Greedy with one point of return: only the last `**` can usefully take another segment.
  let p = 0
  let t = 0
  let many = -1
  let resume = 0
  while (t < topic.length) {
    const segment = pattern[p]
    if (segment === '**') {
      many = p++
      resume = t
    } else if (segment !== undefined && (segment === '*' || segment === topic[t])) {
      p++
      t++
    } else if (many >= 0) {
      p = many + 1
      t = ++resume
    } else return false
  }
  while (pattern[p] === '**') p++
  return p === pattern.length
}

/** Whether a valid pattern matches a valid topic: `*` is exactly one segment, `**` any number, also none. */
export const matches = (pattern: string, topic: string): boolean => matchesSegments(pattern.split('.'), topic.split('.'))
