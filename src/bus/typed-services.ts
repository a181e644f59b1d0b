/** The services an application knows by type, and what a used one looks like. */

/**
 * Services by name. Empty here; applications and plugins add theirs:
 * `declare module 'plugbay' { interface Services { greeter: { greet(name: string): string } } }`.
 */
// biome-ignore lint/suspicious/noEmptyInterface: it is there to be extended
export interface Services {}

/** How calls are made. */
export interface ServiceCallOptions {
  /** Milliseconds until a call fails with CALL_TIMEOUT; 0: never. Default 5000. */
  timeout?: number | undefined
  /** Cancels the calls made with it (CALL_CANCELLED). */
  signal?: AbortSignal | undefined
}

export interface ServiceUseOptions extends ServiceCallOptions {
  /** Which versions will do, as a semver range. Default: any. */
  range?: string | undefined
  /** Milliseconds to wait for the service to appear. Default 3000; 0: not at all. */
  wait?: number | undefined
}

/** What provides a declared service: its members, each method's result also as a promise of it, and the other way round. */
export type Provided<Service> = {
  [Member in keyof Service]: Service[Member] extends (...args: infer Args) => infer Result
    ? (...args: Args) => Result | Awaited<Result> | Promise<Awaited<Result>>
    : Service[Member]
}

/** What may be provided under a name: of a declared service all its methods, of another any object. */
export type ProviderOf<Name extends string> = Name extends keyof Services ? Provided<Services[Name]> : object

type Answer<T> = T extends AsyncIterable<infer Item> ? Promise<AsyncIterableIterator<Item>> : Promise<Awaited<T>>

/** A service as its user sees it: every method answers with a promise. */
export type Remote<Service> = {
  [Method in keyof Service as Service[Method] extends (...args: never[]) => unknown ? Method : never]: Service[Method] extends (
    ...args: infer Args
  ) => infer Result
    ? (...args: Args) => Answer<Result>
    : never
} & {
  /** The same service with other call options. */
  $with(options: ServiceCallOptions): Remote<Service>
}

/**
 * A service of no known type: any method, any arguments, any answer. Not `Record<string, method>`, whose methods were possibly
 * undefined under noUncheckedIndexedAccess.
 */
export interface UntypedRemote {
  // biome-ignore lint/suspicious/noExplicitAny: an unregistered service is of any type, like an unregistered event
  [method: string]: any
  $with(options: ServiceCallOptions): UntypedRemote
}

export type RemoteOf<Name extends string> = Name extends keyof Services ? Remote<Services[Name]> : UntypedRemote
