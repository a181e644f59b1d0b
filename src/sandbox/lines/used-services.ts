/** The services that somebody uses, one line each: who uses one again gets the line that is there. */
import type { MessagePort } from 'node:worker_threads'
import { PlugbayError } from '../../errors.js'
import type { Peers } from './peers.js'
import { type Access, type CallOptions, ServiceClient, type ServiceProxy, type Used } from './service-line.js'

/** What was answered to the question for a service: without a port when the line is one that its user has. */
export interface Opened extends Used {
  use: number
  port: MessagePort | undefined
}

export class UsedServices {
  readonly #peers: Peers
  readonly #broken: (use: number, line: number, how: string | undefined) => void
  readonly #clients = new Map<number, ServiceClient>()

  /** `broken`: of that line of that use, as of {@link ServiceClient}'s. The next use of the service is to have another. */
  constructor(peers: Peers, broken: (use: number, line: number, how: string | undefined) => void) {
    this.#peers = peers
    this.#broken = broken
  }

  /** The service as the kernel opened it, or over the line that is there. */
  opened(opened: Opened, options: CallOptions, access?: Access): ServiceProxy {
    this.keep(opened, access)
    const client = this.#clients.get(opened.use)
    if (client === undefined) throw new PlugbayError('PROTOCOL', `There is no line ${opened.use} to service '${opened.name}'.`)
    return client.proxy(options)
  }

  /** A line that the kernel opened: it opens no other to the same service. */
  keep({ use, port, ...used }: Opened, access?: Access): void {
    if (port === undefined) return
    const broken = (line: number, how: string | undefined): void => this.#broken(use, line, how)
    this.#clients.set(use, new ServiceClient(used, port, access, this.#peers, broken))
  }

  rebind(use: number, port: MessagePort, now: Omit<Used, 'name'>): void {
    const client = this.#clients.get(use)
    if (client === undefined) port.close()
    else client.rebind(port, now)
  }

  gone(use: number, error: PlugbayError, hard: boolean): void {
    this.#clients.get(use)?.gone(error, hard)
  }

  /** Lets go of all: calls under way are still answered. */
  release(): void {
    for (const client of this.#clients.values()) client.release()
  }
}
