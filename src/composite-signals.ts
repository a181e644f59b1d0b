/** Signals of AbortSignal.any(). Node 20 forgets an AbortSignal.timeout() that is known to one of these alone, also while somebody listens to it: it is never aborted then. */

const FORGETS = Number.parseInt(process.versions.node, 10) < 22

/** What each follows, for as long as it lives. */
const followed = new WeakMap<AbortSignal, unknown[]>()

/** Whoever is given a signal calls this with it, at once. */
export const keepFollowed = (signal: AbortSignal): void => {
  if (!FORGETS || followed.has(signal)) return
  const key = Object.getOwnPropertySymbols(signal).find(({ description }) => description === 'kSourceSignals')
  const sources = key && (Reflect.get(signal, key) as Iterable<WeakRef<AbortSignal>> | undefined)
  if (sources)
    followed.set(
      signal,
      Array.from(sources, (source) => source.deref()),
    )
}
