/** How an author marks a value that is not to be copied: moved, or passed by reference. No imports: `plugbay/plugin` re-exports it. */

/** Marks cross copies of the library and realms, so they are known by a registered symbol rather than by class. */
export const MARK: unique symbol = Symbol.for('plugbay.passing')

/** A value whose listed objects are moved to the receiver: the sender can no longer use them. */
export interface TransferMark<T = unknown> {
  readonly [MARK]: 'transfer'
  readonly value: T
  readonly objects: readonly object[]
}

/** An object the receiver gets by reference: its methods run where it lives. */
export interface ReferenceMark<T extends object = object> {
  readonly [MARK]: 'reference'
  readonly value: T
}

/** Each mark has it: no thread can copy a function, so one that lies where nothing is moved is refused rather than taken for data. */
const uncopied = (): void => {}

/**
 * Moves `objects` (ArrayBuffer, MessagePort …) with an argument or a result rather than copy them.
 * `users.setPhoto(id, transfer(bytes, [bytes.buffer]))`: afterwards `bytes` is empty here. A ReadableStream needs no mark: it crosses as
 * what it reads. The call rejects with PAYLOAD_NOT_CLONEABLE for any other web stream, and for one inside of the value.
 */
export const transfer = <T>(value: T, objects: readonly object[]): T =>
  ({ [MARK]: 'transfer', value, objects, uncopied }) as TransferMark<T> as T

/**
 * Passes an object by reference, as an argument or a result: the other side gets a proxy whose methods return promises.
 * It lives as long as the line of the service it went over.
 */
export const byReference = <T extends object>(value: T): T => ({ [MARK]: 'reference', value, uncopied }) as ReferenceMark<T> as T

export const markOf = (value: object): 'transfer' | 'reference' | undefined => (value as Partial<TransferMark | ReferenceMark>)[MARK]

/** What lies in a mark: for whoever hands it on as it is, within one thread. Any other value is itself. */
export const unmarked = (value: unknown): unknown =>
  typeof value === 'object' && value !== null && markOf(value) !== undefined ? (value as TransferMark | ReferenceMark).value : value
