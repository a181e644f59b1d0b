/** A plugin's place in a worker thread of its own. */
import type { Worker } from 'node:worker_threads'
import { PlugbayError } from '../../errors.js'
import { codeOf } from '../../wire-error.js'
import { type Channel, type PortChannel, portChannel } from '../channel.js'
import type { Breach, Exit, PlaceLimits, PluginHost } from '../plugin-host.js'
import { CELL } from '../pulse.js'
import { shortageOf } from '../shortage.js'
import { watchdog } from '../watch/watchdog.js'
import { WatchedThread } from '../watch/watched-thread.js'
import { outlasts } from './patience.js'
import type { BootedThread, Standby } from './standby.js'

/**
 * Whether a worker's 'error' is V8's that has no memory left. The thread has no number any more then; while it has one, the error is its
 * plugin's, whatever code that gave it.
 */
export const isExhausted = ({ threadId }: Worker, error: unknown): boolean =>
  threadId === -1 && codeOf(error) === 'ERR_WORKER_OUT_OF_MEMORY'

export class ThreadHost implements PluginHost {
  readonly kind = 'thread'
  readonly tier = 'thread'
  readonly holds = ['memory', 'cpu', 'hang'] as const
  readonly exited: Promise<Exit>
  onOutput: PluginHost['onOutput']
  onStuck: PluginHost['onStuck']
  readonly #thread: BootedThread
  readonly #channel: PortChannel
  #killed: string | undefined
  #gone: Promise<void> | undefined
  #unwatch: () => void = () => {}

  /**
   * Takes a thread at once: if it has yet to boot, it does so while the rest of the start is prepared. To be killed also when it is not
   * started. `flags`: Node's, for this thread alone.
   */
  constructor(standby: Standby, flags: readonly string[] = []) {
    this.#thread = standby.take(flags)
    const { worker, port, asks, cells } = this.#thread
    this.#channel = portChannel(port)
    worker.ref()
    let error: unknown
    let exhausted = false
    worker.on('error', (thrown: unknown) => {
      error ??= thrown
      exhausted ||= isExhausted(worker, thrown)
    })
    this.exited = new Promise((resolve) =>
      worker.once('exit', (code) => {
        this.#unwatch()
        asks.close()
        standby.ended(flags)
        const exit: Exit = { expected: this.#killed !== undefined, code }
        if (error !== undefined) exit.error = error
        if (exhausted) exit.exhausted = true
        if (this.#killed !== undefined) exit.reason = this.#killed
        const shortage = cells[CELL.beats] === 0 ? shortageOf(error) : undefined
        if (shortage !== undefined) exit.shortage = shortage
        // Its end may be told before what it said last, which takes effect first.
        this.#channel.rest(() => {
          port.close()
          setImmediate(resolve, exit)
        })
      }),
    )
    for (const stream of ['stdout', 'stderr'] as const) {
      worker[stream].setEncoding('utf8')
      worker[stream].on('data', (text: string) => this.onOutput?.(stream, text))
    }
  }

  async start(signal: AbortSignal): Promise<Channel> {
    signal.throwIfAborted()
    if (this.#killed !== undefined) throw new PlugbayError('PLUGIN_STOPPED', 'The thread was ended before it started.')
    return this.#channel
  }

  watch(limits: PlaceLimits, breached: (breach: Breach) => void): void {
    this.#unwatch = watchdog.watch((at, pages) => new WatchedThread(this.#thread, limits, breached, at, pages))
  }

  kill(reason: string): Promise<void> {
    this.#killed ??= reason
    this.#gone ??= this.#end()
    return this.#gone
  }

  async #end(): Promise<void> {
    this.#unwatch()
    const { worker } = this.#thread
    void worker.terminate()
    if (!(await outlasts(this.exited))) return
    // Nobody waits for it any more; Node does at the end of the process.
    worker.unref()
    this.onStuck?.()
  }
}
