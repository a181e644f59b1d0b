/**
 * The kernel's end of a thread that runs tasks: it hears what the thread tells beside its answers, and ends one that takes too much memory.
 */
import type { Worker } from 'node:worker_threads'
import type { Sealed } from '../conversation/sealed.js'
import type { Breach } from '../plugin-host.js'
import type { LogLevel } from '../protocol.js'
import type { TaskGreeting, TaskNotice } from '../task-wire.js'
import { watchdog } from '../watch/watchdog.js'
import { WatchedThread } from '../watch/watched-thread.js'
import { guard } from './guarded-worker.js'
import { outlasts } from './patience.js'

/** Ends a thread, and with it the run that is under way there. */
export class TaskBreach extends Error {
  override readonly name = 'TaskBreach'
  readonly breach: Breach

  constructor(breach: Breach) {
    super(`${breach.limit}: ${breach.observed} of ${breach.allowed}`)
    this.breach = breach
  }
}

export interface TaskListener {
  log(level: LogLevel, message: string): void
  denied(resource: string, action: string, times: number): void
  used(resource: string, action: string): void
  /** What a run answers, where that is large: it may come before its run has ended, or after. */
  answer(run: number, answer: Sealed): void
  /** A thread that was ended is still there after 2 s: native code holds it. */
  stuck(gone: Promise<unknown>): void
}

/** To compute for long is what tasks are for. */
const NO_LIMIT = { hang: Number.POSITIVE_INFINITY, cpu: Number.POSITIVE_INFINITY }

export class TaskThread {
  readonly #worker: Worker
  readonly #listener: TaskListener
  /** Resolves when it has gone, however late. */
  readonly gone: Promise<unknown>
  readonly #unwatch: () => void
  #ended: Promise<void> | undefined

  /**
   * Of a thread that has greeted and waits for its first task. `memory`: MB; one that takes more is ended by its worker's 'error', a {@link
   * TaskBreach}.
   */
  constructor(worker: Worker, { cells, asks, wire }: TaskGreeting, memory: number, listener: TaskListener) {
    this.#worker = guard(worker)
    this.#listener = listener
    this.gone = new Promise((resolve) => worker.once('exit', resolve))
    this.#hear(wire)
    // Runs keep the process, not what is told of them.
    wire.unref()
    asks.unref()
    // Its pool ends it, and the run with it.
    const breached = (breach: Breach): unknown => worker.emit('error', new TaskBreach(breach))
    this.#unwatch = watchdog.watch((at, pages) => new WatchedThread({ worker, cells, asks }, { memory, ...NO_LIMIT }, breached, at, pages))
    worker.once('exit', this.#unwatch)
  }

  #hear(wire: TaskGreeting['wire']): void {
    const { log, denied, used, answer } = this.#listener
    wire.on('message', (notice: TaskNotice) => {
      try {
        if (notice[0] === 'log') log(notice[1], notice[2])
        else if (notice[0] === 'denied') denied(notice[1], notice[2], notice[3])
        else if (notice[0] === 'answer') answer(notice[1], notice[2])
        else used(notice[1], notice[2])
      } catch {
        wire.close() // its guest tells nothing else: somebody got hold of its end
      }
    })
    for (const [stream, level] of [
      [this.#worker.stdout, 'info'],
      [this.#worker.stderr, 'error'],
    ] as const) {
      // What is written past the console, where there is no gate: Node would show it on the process's own streams.
      stream.unpipe()
      stream.setEncoding('utf8').on('data', (text: string) => log(level, text.replace(/\n$/, '')))
      stream.resume()
    }
  }

  /** Its pool has told it to end. Resolves when it is gone, or after 2 s. */
  ended(): Promise<void> {
    this.#ended ??= this.#outlive()
    return this.#ended
  }

  async #outlive(): Promise<void> {
    this.#unwatch()
    if (!(await outlasts(this.gone))) return
    // Nobody waits for it any more; Node does at the end of the process.
    this.#worker.unref()
    this.#listener.stuck(this.gone)
  }
}
