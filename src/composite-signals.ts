/**
 * Signals of AbortSignal.any(). An AbortSignal.timeout() that is known to one of these alone is forgotten, and it is never aborted then:
 * where nobody listens to it, and on Node 20 also where somebody does.
 */

/** Also those that are listened to. */
const FORGETS = Number.parseInt(process.versions.node, 10) < 22

/** What each follows, for as long as it lives. */
const followed = new WeakMap<AbortSignal, unknown[]>()

/** Whoever takes a signal that was given calls this with it, at once. `idle`: nobody listens to it for now. */
export const keepFollowed = (signal: AbortSignal | undefined, idle = false): void => {
  if (signal === undefined || !(FORGETS || idle) || followed.has(signal)) return
  const key = Object.getOwnPropertySymbols(signal).find(({ description }) => description === 'kSourceSignals')
  const sources = key && (Reflect.get(signal, key) as Iterable<WeakRef<AbortSignal>> | undefined)
  if (sources)
    followed.set(
      signal,
      Array.from(sources, (source) => source.deref()),
    )
}
