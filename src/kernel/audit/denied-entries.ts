/** How much of the audit log a plugin fills by being denied: old files go as new ones come, and it is not to say when. */
import { TokenBucket } from '../../sandbox/token-bucket.js'
import type { AuditEntry } from './chain.js'

/** Bytes a second of one plugin: by them alone a log of the default size is replaced in four months. */
const RATE = 10
/** Bytes that one which was denied little has at once: some 150 denials. */
const RESERVE = 64 * 1_024

interface Denied {
  room: TokenBucket
  /** The last that was kept back, and how many with it. */
  kept: AuditEntry | undefined
  unsaid: number
}

export class DeniedEntries {
  readonly #plugins = new Map<string, Denied>()

  /** What is to be written of an entry that stands for so many denials: with how many before it were not, or nothing for now. */
  take(plugin: string, entry: AuditEntry, times: number): AuditEntry | undefined {
    const denied = this.#plugins.get(plugin) ?? { room: new TokenBucket(RATE, RESERVE / RATE), kept: undefined, unsaid: 0 }
    this.#plugins.set(plugin, denied)
    denied.unsaid += times
    if (!denied.room.take(Buffer.byteLength(JSON.stringify(entry)))) {
      denied.kept = entry
      return undefined
    }
    const told = summed(entry, denied.unsaid - 1)
    denied.kept = undefined
    denied.unsaid = 0
    return told
  }

  /** What was kept back of that plugin, or of all, in an entry for each. */
  rest(plugins: Iterable<string> = this.#plugins.keys()): AuditEntry[] {
    return [...plugins].flatMap((plugin) => {
      const denied = this.#plugins.get(plugin)
      if (denied?.kept === undefined) return []
      const { kept, unsaid } = denied
      denied.kept = undefined
      denied.unsaid = 0
      return [summed({ ...kept, reason: 'more was denied to it than is written one by one' }, unsaid)]
    })
  }
}

const summed = (entry: AuditEntry, unsaid: number): AuditEntry => (unsaid > 0 ? { ...entry, details: { ...entry.details, unsaid } } : entry)
