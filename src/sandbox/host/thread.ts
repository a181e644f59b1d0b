/** A plugin's place in a worker thread of its own. */
import { setTimeout as delay } from 'node:timers/promises'
import type { Worker } from 'node:worker_threads'
import { PlugbayError } from '../../errors.js'
import type { Channel } from '../channel.js'
import { portChannel } from '../channel.js'
import { type Exit, PATIENCE, type PluginHost } from '../plugin-host.js'
import type { Standby } from './standby.js'

export class ThreadHost implements PluginHost {
  readonly kind = 'thread'
  readonly exited: Promise<Exit>
  onOutput: PluginHost['onOutput']
  readonly #standby: Standby
  #worker: Worker | undefined
  #killed: string | undefined
  #settle: (exit: Exit) => void = () => {}

  constructor(standby: Standby) {
    this.#standby = standby
    this.exited = new Promise((resolve) => (this.#settle = resolve))
  }

  async start(signal: AbortSignal): Promise<Channel> {
    signal.throwIfAborted()
    if (this.#killed !== undefined) throw new PlugbayError('PLUGIN_STOPPED', 'The thread was ended before it started.')
    const { worker, port } = this.#standby.take()
    this.#worker = worker
    worker.ref()
    let error: unknown
    worker.on('error', (thrown: unknown) => (error = thrown))
    worker.once('exit', (code) => {
      port.close()
      const exit: Exit = { expected: this.#killed !== undefined, code }
      if (error !== undefined) exit.error = error
      if (this.#killed !== undefined) exit.reason = this.#killed
      this.#settle(exit)
    })
    for (const stream of ['stdout', 'stderr'] as const) {
      worker[stream].setEncoding('utf8')
      worker[stream].on('data', (text: string) => this.onOutput?.(stream, text))
    }
    return portChannel(port)
  }

  async kill(reason: string): Promise<void> {
    this.#killed ??= reason
    if (this.#worker === undefined) {
      this.#settle({ expected: true, reason })
      return
    }
    void this.#worker.terminate()
    const patience = new AbortController()
    await Promise.race([this.exited, delay(PATIENCE, undefined, { ref: false, signal: patience.signal }).catch(() => {})])
    patience.abort()
  }
}
