/** Threads that are booted before they are needed, so that a start or a replacement costs the import of the plugin alone. */
import { MessageChannel, type MessagePort, Worker } from 'node:worker_threads'
import { newCells, type Pulse } from '../pulse.js'
import type { ThreadSubject } from '../watch/thread-subject.js'
import { guard } from './guarded-worker.js'
import { guestCode } from './guest-code.js'
import { outlasts } from './patience.js'

/** A thread with the guest runtime in it, and the kernel's end of its wire. */
export interface BootedThread extends ThreadSubject {
  port: MessagePort
}

const BOOT = new URL('../guest/boot.cjs', import.meta.url)

/**
 * V8's own limit aborts the whole process when one allocation jumps over it (nodejs/node#47224), so it stands far above
 * what a plugin may use.
 */
export const HARD_HEAP_MB = 4_096

/** What each thread of a plugin begins with. */
export const THREAD_FLAGS: readonly string[] = [
  '--disable-warning=ExperimentalWarning',
  // Node ends the whole process where the numbers of its resources do not fit, and these lie open in objects of a plugin's own, such as
  // timers.
  '--no-force-async-hooks-checks',
]

/** `waits`: its plugin will come later than it is booted. */
const boot = (waits: boolean, flags: readonly string[]): BootedThread => {
  const { port1, port2 } = new MessageChannel()
  const { port1: asks, port2: asked } = new MessageChannel()
  // A thread that waits for its plugin must not keep the process.
  asks.unref()
  const cells = newCells()
  const code = guestCode()
  const pulse: Pulse = { cells, port: asked }
  const worker = new Worker(BOOT, {
    workerData: { port: port2, pulse, waits, code },
    transferList: [port2, asked, ...(code.compiled === undefined ? [] : [code.compiled])],
    stdout: true,
    stderr: true,
    // Not the process's own: with --input-type, --eval or --test among them no thread would start, and it knows what is experimental.
    execArgv: [...THREAD_FLAGS, ...flags],
    resourceLimits: { maxOldGenerationSizeMb: HARD_HEAP_MB },
  })
  return { worker: guard(worker), port: port1, cells, asks }
}

interface WaitingThread extends BootedThread {
  /** Called when it dies while it waits. */
  drop: () => void
}

/** Threads that are alike: a thread's flags cannot change once it is made. */
interface Profile {
  flags: readonly string[]
  ready: WaitingThread[]
  /** How many threads are kept. */
  size: number
  /** How many of its threads were taken and have not ended. */
  users: number
}

const keyOf = (flags: readonly string[]): string => flags.join('\0')

export class Standby {
  readonly #size: number
  readonly #profiles = new Map<string, Profile>()
  #common: Profile | undefined
  #refilling = false
  /** While a system boots, and after it has stopped, every processor has better to do than to make threads for later. */
  #open = false

  /**
   * `size` threads of the common profile are kept ready, and one for the next generation of each other; 0: every thread is made when it is
   * needed.
   */
  constructor(size: number) {
    this.#size = size
  }

  /** How many threads wait. */
  get waiting(): number {
    return [...this.#profiles.values()].reduce((sum, { ready }) => sum + ready.length, 0)
  }

  /** A booted thread with these flags, or else one that is booting: its port keeps what it is sent. To be told of by {@link ended}. */
  take(flags: readonly string[] = []): BootedThread {
    const profile = this.#profileOf(flags)
    const waiting = profile.ready.shift()
    const thread = waiting ?? boot(false, flags)
    profile.users += 1
    this.#refill()
    // Only our own: others may watch over the process's threads (process.on('worker')).
    waiting?.worker.off('error', waiting.drop).off('exit', waiting.drop)
    return thread
  }

  /**
   * A thread with these flags that was taken has ended. One that waits for the next is kept for a while: it may be about to be restarted.
   */
  ended(flags: readonly string[] = []): void {
    const profile = this.#profileOf(flags)
    profile.users -= 1
    if (profile.users > 0 || profile === this.#common) return
    setTimeout(() => {
      if (profile.users > 0 || profile === this.#common) return
      this.#profiles.delete(keyOf(flags))
      for (const { worker } of profile.ready.splice(0)) void worker.terminate()
    }, LINGER).unref()
  }

  #profileOf(flags: readonly string[]): Profile {
    const key = keyOf(flags)
    let profile = this.#profiles.get(key)
    if (profile === undefined) {
      profile = { flags, ready: [], size: Math.min(1, this.#size), users: 0 }
      this.#profiles.set(key, profile)
    }
    return profile
  }

  /**
   * Boots the first thread before it is known for whom: until plugins are found, a processor has nothing better to do. `common`: the flags
   * of most.
   */
  prepare(common: readonly string[] = []): void {
    this.#common = this.#profileOf(common)
    this.#common.size = this.#size
    if (this.#size > 0) this.#add(this.#common, false)
  }

  /** From now on threads are kept ready. */
  open(): void {
    this.#open = true
    this.#refill()
  }

  /** The first that has less than it should. */
  #lacking(): Profile | undefined {
    return this.#open ? [...this.#profiles.values()].find(({ ready, size }) => ready.length < size) : undefined
  }

  /** Makes up the number, later and one at a time: the one who just took a thread needs the processor now. */
  #refill(): void {
    if (this.#refilling || this.#lacking() === undefined) return
    this.#refilling = true
    setTimeout(() => {
      this.#refilling = false
      const profile = this.#lacking()
      if (profile === undefined) return
      this.#add(profile, true)?.worker.once('online', () => this.#refill())
    }, REFILL_AFTER).unref()
  }

  /** One that dies while it waits is not handed out; the next take or refill replaces it. */
  #add({ ready, flags }: Profile, waits: boolean): WaitingThread | undefined {
    const drop = (): void => {
      const at = ready.indexOf(thread)
      if (at >= 0) ready.splice(at, 1)
    }
    let booted: BootedThread
    try {
      booted = boot(waits, flags)
    } catch {
      return undefined // as without a free descriptor: who needs a thread then is told why there is none
    }
    const thread: WaitingThread = { ...booted, drop }
    thread.worker.once('error', drop)
    thread.worker.once('exit', drop)
    thread.worker.unref()
    ready.push(thread)
    return thread
  }

  async close(): Promise<void> {
    this.#open = false
    const threads = [...this.#profiles.values()].flatMap(({ ready }) => ready.splice(0))
    await outlasts(Promise.all(threads.map(async ({ worker }) => worker.terminate())))
  }
}

const REFILL_AFTER = 20
const LINGER = 30_000
