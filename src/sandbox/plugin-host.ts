/** The place where one generation of a plugin runs: the one interface that inline, thread, process and remote implement. */
import type { Channel } from './channel.js'
import type { RecordedCpu } from './cpu-profile.js'
import type { HeapReport } from './heap-report.js'
import type { Shortage } from './shortage.js'

export type HostKind = 'inline' | 'thread' | 'process' | 'grpc'

/** How strongly a place holds its plugin: what is really active here, not what was asked for. */
export type Tier = 'inline' | 'thread' | 'process' | 'process+permission' | 'process+sandbox'

/** How a place ended. */
export interface Exit {
  /** True when the kernel ended it; false: it ended by itself. */
  expected: boolean
  /** Exit code of the thread or process, where there is one. */
  code?: number
  /** The signal that ended the process. */
  signal?: string
  /** What ended it, when it was an error. */
  error?: unknown
  /** That was not thrown there: V8 ended the thread, as it had no memory left. */
  exhausted?: boolean
  /** What its own listener for such errors was told of, when that threw another, of which nothing is known. */
  heard?: unknown
  /** The reason given to `kill`. */
  reason?: string
  /** It did not come up, as the system had no more of this. */
  shortage?: Shortage
}

/** What a place may take while it stands. */
export interface PlaceLimits {
  /** MB of heap and external memory. */
  memory: number
  /** Share of one core. */
  cpu: number
  /** Milliseconds in which it may get nothing done while it has something to do. */
  hang: number
}

/** A limit that a place went past. */
export interface Breach {
  limit: keyof PlaceLimits
  allowed: number
  observed: number
  /** Of memory: MB that the place may have beyond `allowed` for itself. */
  margin?: number
  /** Of memory: MB of `observed` that no counter of V8's shows. */
  uncounted?: number
  /** Of memory: MB of `observed` that were written to a process and that it has not read. */
  unread?: number
  /** Of memory: it is the addresses of the process, and the place keeps about so many memories of WebAssembly that take them. */
  memories?: number
  /** Of a hang: what holds the place, as far as this Node and this system tell. */
  how?:
    | 'spinning'
    | 'native computation'
    | 'blocked'
    | 'waiting'
    | 'computing'
    | 'blocked or waiting'
    | 'in a message'
    | 'stopped'
    | 'unknown'
  /** Of one that computes: what it did before the limit, where that can be seen. */
  profile?: RecordedCpu
  /** Of memory: what it is made of, where that is known. */
  heap?: HeapReport
}

/**
 * Owns the place, not the conversation: stopping gently and asking for health are messages, the same for every kind.
 * Only killing differs by place.
 */
export interface PluginHost {
  readonly kind: HostKind
  readonly tier: Tier
  /** The limits that `watch` finds to be broken here: it takes a system and a Node that tell. */
  readonly holds: readonly (keyof PlaceLimits)[]
  /** Milliseconds after the end of its channel in which the place may still tell how it ended; none where it does so at once. */
  readonly lag?: number
  /** Settles once, when the place is gone, however it ended. Never rejects. */
  readonly exited: Promise<Exit>
  /** Called once. Resolves with the channel to the guest; a place that is still booting keeps what is sent until it is ready. */
  start(signal: AbortSignal): Promise<Channel>
  /** Ends the place, now. Idempotent; resolves when it is gone, or after 2 s for one that cannot be interrupted. */
  kill(reason: string): Promise<void>
  /** Tells of each limit that the place is found to be past, until it is gone. Called before `start`. */
  watch?(limits: PlaceLimits, breached: (breach: Breach) => void): void
  /** Told once when the place is not gone after 2 s: it cannot be interrupted. */
  onStuck?: (() => void) | undefined
  /** Receives text the guest's code wrote past its console, where the place can catch it. */
  onOutput?: ((stream: 'stdout' | 'stderr', text: string) => void) | undefined
}
