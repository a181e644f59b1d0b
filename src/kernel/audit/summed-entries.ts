/** How much of the audit log a plugin fills by what it does again and again: old files go as new ones come, and it is not to say when. */
import { TokenBucket } from '../../sandbox/token-bucket.js'
import type { AuditEntry } from './chain.js'

/** Bytes a second of one plugin: by them alone a log of the default size is replaced in four months. */
const RATE = 10
/** Bytes that one which did little has at once: some 150 denials. */
const RESERVE = 64 * 1_024

interface Summed {
  room: TokenBucket
  /** The last that was kept back, and how many with it. */
  kept: AuditEntry | undefined
  unsaid: number
}

const sizeOf = (entry: AuditEntry): number => Buffer.byteLength(JSON.stringify(entry))

export class SummedEntries {
  readonly #plugins = new Map<string, Summed>()
  readonly #reason: string

  /** `reason`: what is said of those that were kept back. */
  constructor(reason: string) {
    this.#reason = reason
  }

  #of(plugin: string): Summed {
    const summed = this.#plugins.get(plugin) ?? { room: new TokenBucket(RATE, RESERVE / RATE), kept: undefined, unsaid: 0 }
    this.#plugins.set(plugin, summed)
    return summed
  }

  /** What is to be written of an entry that stands for so many: with how many before it were not, or nothing for now. */
  take(plugin: string, entry: AuditEntry, times: number): AuditEntry | undefined {
    const summed = this.#of(plugin)
    summed.unsaid += times
    if (!summed.room.take(sizeOf(entry))) {
      summed.kept = entry
      return undefined
    }
    const told = withUnsaid(entry, summed.unsaid - 1)
    summed.kept = undefined
    summed.unsaid = 0
    return told
  }

  /** What is to be written beside these takes of the same room. Whether there was any. */
  beside(plugin: string, entry: AuditEntry): boolean {
    return this.#of(plugin).room.take(sizeOf(entry))
  }

  /** So does what follows from one of them, and is written with it. */
  with(plugin: string, entry: AuditEntry): void {
    this.#of(plugin).room.owe(sizeOf(entry))
  }

  /** What was kept back of that plugin, or of all, in an entry for each. */
  rest(plugins: Iterable<string> = this.#plugins.keys()): AuditEntry[] {
    return [...plugins].flatMap((plugin) => {
      const summed = this.#plugins.get(plugin)
      if (summed?.kept === undefined) return []
      const { kept, unsaid } = summed
      summed.kept = undefined
      summed.unsaid = 0
      return [withUnsaid({ ...kept, reason: this.#reason }, unsaid)]
    })
  }
}

const withUnsaid = (entry: AuditEntry, unsaid: number): AuditEntry =>
  unsaid > 0 ? { ...entry, details: { ...entry.details, unsaid } } : entry
