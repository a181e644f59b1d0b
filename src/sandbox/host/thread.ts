/** A plugin's place in a worker thread of its own. */
import { setTimeout as delay } from 'node:timers/promises'
import { PlugbayError, reasonOf } from '../../errors.js'
import type { Channel } from '../channel.js'
import { portChannel } from '../channel.js'
import { type Exit, PATIENCE, type PluginHost } from '../plugin-host.js'
import { guardOrders } from './guarded-orders.js'
import type { BootedThread, Standby } from './standby.js'

export class ThreadHost implements PluginHost {
  readonly kind = 'thread'
  readonly exited: Promise<Exit>
  onOutput: PluginHost['onOutput']
  readonly #thread: BootedThread
  #killed: string | undefined

  /** Takes a thread at once: if it has yet to boot, it does so while the rest of the start is prepared. To be killed also when it is not started. `flags`: Node's, for this thread alone. */
  constructor(standby: Standby, flags: readonly string[] = []) {
    this.#thread = standby.take(flags)
    const { worker, port } = this.#thread
    worker.ref()
    let error: unknown
    worker.on('error', (thrown: unknown) => (error = thrown))
    guardOrders(worker, (thrown) => {
      error ??= new PlugbayError('PROTOCOL', `A thread sent its host an order that Node does not take: ${reasonOf(thrown)}`, {
        cause: thrown,
      })
      void worker.terminate()
    })
    this.exited = new Promise((resolve) =>
      worker.once('exit', (code) => {
        port.close()
        standby.ended(flags)
        const exit: Exit = { expected: this.#killed !== undefined, code }
        if (error !== undefined) exit.error = error
        if (this.#killed !== undefined) exit.reason = this.#killed
        resolve(exit)
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
    return portChannel(this.#thread.port)
  }

  async kill(reason: string): Promise<void> {
    this.#killed ??= reason
    void this.#thread.worker.terminate()
    const patience = new AbortController()
    await Promise.race([this.exited, delay(PATIENCE, undefined, { ref: false, signal: patience.signal }).catch(() => {})])
    patience.abort()
  }
}
