/** Threads that are booted before they are needed, so that a start or a replacement costs the import of the plugin alone. */
import { MessageChannel, type MessagePort, Worker } from 'node:worker_threads'
import { newCells, type Pulse } from '../pulse.js'
import type { Subject } from '../watched-thread.js'
import { guard } from './guarded-worker.js'
import { guestCode } from './guest-code.js'

/** A thread with the guest runtime in it, and the kernel's end of its wire. */
export interface BootedThread extends Subject {
  port: MessagePort
}

const BOOT = new URL('../guest/boot.cjs', import.meta.url)

/**
 * V8's own limit aborts the whole process when one allocation jumps over it (nodejs/node#47224), so it stands far above
 * what a plugin may use.
 */
const HARD_HEAP_MB = 4_096

/** `waits`: its plugin will come later. */
const boot = (waits: boolean): BootedThread => {
  const { port1, port2 } = new MessageChannel()
  const { port1: asks, port2: asked } = new MessageChannel()
  // A thread that waits for its plugin must not keep the process.
  asks.unref()
  const cells = newCells()
  const pulse: Pulse = { cells, port: asked }
  const worker = new Worker(BOOT, {
    workerData: { port: port2, pulse, waits, code: guestCode() },
    transferList: [port2, asked],
    stdout: true,
    stderr: true,
    // Not the process's own: with --input-type, --eval or --test among them no thread would start, and it knows what is experimental.
    execArgv: ['--disable-warning=ExperimentalWarning'],
    resourceLimits: { maxOldGenerationSizeMb: HARD_HEAP_MB },
  })
  return { worker: guard(worker), port: port1, cells, asks }
}

interface WaitingThread extends BootedThread {
  /** Called when it dies while it waits. */
  drop: () => void
}

export class Standby {
  readonly #size: number
  readonly #ready: WaitingThread[] = []
  #refilling = false
  /** While a system boots, and after it has stopped, every processor has better to do than to make threads for later. */
  #open = false

  /** `size` threads are kept ready; 0: every thread is made when it is needed. */
  constructor(size: number) {
    this.#size = size
  }

  /** How many threads wait. */
  get waiting(): number {
    return this.#ready.length
  }

  /** A booted thread, or else one that is booting: its port keeps what it is sent. */
  take(): BootedThread {
    const thread = this.#ready.shift()
    if (thread === undefined) return boot(false)
    // Only our own: others may watch over the process's threads (process.on('worker')).
    thread.worker.off('error', thread.drop).off('exit', thread.drop)
    this.#refill()
    return thread
  }

  /** From now on threads are kept ready. */
  open(): void {
    this.#open = true
    this.#refill()
  }

  /** Makes up the number, later and one at a time: the one who just took a thread needs the processor now. */
  #refill(): void {
    if (this.#refilling || !this.#open || this.#ready.length >= this.#size) return
    this.#refilling = true
    setTimeout(() => {
      this.#refilling = false
      if (!this.#open || this.#ready.length >= this.#size) return
      // One that dies while it waits is not handed out; the next take or refill replaces it.
      const drop = (): void => {
        const at = this.#ready.indexOf(thread)
        if (at >= 0) this.#ready.splice(at, 1)
      }
      const thread: WaitingThread = { ...boot(true), drop }
      thread.worker.once('error', drop)
      thread.worker.once('exit', drop)
      thread.worker.once('online', () => this.#refill())
      thread.worker.unref()
      this.#ready.push(thread)
    }, REFILL_AFTER).unref()
  }

  async close(): Promise<void> {
    this.#open = false
    await Promise.all(this.#ready.splice(0).map(async ({ worker }) => worker.terminate()))
  }
}

const REFILL_AFTER = 20
