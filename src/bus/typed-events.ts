/** The types of events by topic: an interface that applications extend, and what a pattern makes of it. */
import type { Event } from './event.js'

/**
 * The data of each topic. Extend it where the events are defined:
 *
 * ```ts
 * declare module 'plugbay' {
 *   interface Events { 'user.login': { userId: string } }
 * }
 * ```
 *
 * A topic that is not in it carries `any`.
 */
// biome-ignore lint/suspicious/noEmptyInterface: it is there to be extended
export interface Events {}

/** The registered topics. */
export type Topic = keyof Events & string

type Split<Text extends string> = Text extends `${infer Head}.${infer Rest}` ? [Head, ...Split<Rest>] : [Text]

/** The grammar of topic.ts, on types: `*` takes one segment, `**` none or one and then tries again. */
type Matches<Pattern extends string[], Segments extends string[]> = Pattern extends [
  infer First extends string,
  ...infer Then extends string[],
]
  ? First extends '**'
    ? Matches<Then, Segments> extends true
      ? true
      : Segments extends [string, ...infer Later extends string[]]
        ? Matches<Pattern, Later>
        : false
    : Segments extends [infer Segment extends string, ...infer Later extends string[]]
      ? First extends '*' | Segment
        ? Matches<Then, Later>
        : false
      : false
  : Segments extends []
    ? true
    : false

/** The registered topics that a pattern matches; `never` when there is none. */
export type TopicsOf<Pattern extends string> = {
  [Name in Topic]: Matches<Split<Pattern>, Split<Name>> extends true ? Name : never
}[Topic]

/** The data of a topic: as registered, else `any`. */
// biome-ignore lint/suspicious/noExplicitAny: nothing is known of an unregistered topic
export type DataOf<Name extends string> = Name extends Topic ? Events[Name] : any

/**
 * The events that a pattern can bring: the union of the registered topics it matches, told apart by `type`. A pattern that matches no
 * registered topic, or is not known when compiling, brings `Event<any>`.
 */
export type EventOf<Pattern extends string> = string extends Pattern
  ? Event
  : [TopicsOf<Pattern>] extends [never]
    ? Event
    : { [Name in TopicsOf<Pattern>]: Event<Events[Name], Name> }[TopicsOf<Pattern>]

/** What follows the topic in a publish: the data is checked, and may be left out where it may be undefined. */
export type PublishArguments<Name extends string, Options> =
  undefined extends DataOf<Name> ? [data?: DataOf<Name>, options?: Options] : [data: DataOf<Name>, options?: Options]
