/**
 * Requests over HTTP on a plugin's behalf: the kernel makes them in a thread, to hosts the plugin may reach, redirects included. What it
 * may reach is decided here.
 */
import { PlugbayError } from '../../errors.js'
import { reaches } from '../../hosts.js'
import { entryFor, toAllow } from '../../permission-set.js'
import { SMALL } from '../../sandbox/conversation/held-answer.js'
import type { KernelVerbs } from '../../sandbox/protocol.js'
import type { Claim } from '../limits/room.js'
import { Requester } from './requester.js'

type FetchRequest = KernelVerbs['fetch']['asks']
type FetchAnswer = KernelVerbs['fetch']['answers']

/** Bytes of a body that is sent or received. */
export const MAX_BODY = 16 * 1_024 * 1_024
/** Characters of an address, a method and headers together. Servers take less, and to look at what is longer takes time. */
const MAX_HEAD = 64 * 1_024
/** What stands around each header. */
const AROUND = 4
const MAX_REDIRECTS = 5
/** Not carried on to another origin. */
const SECRET_HEADERS = new Set(['authorization', 'cookie', 'proxy-authorization'])
const PORTS: Record<string, string> = { 'http:': '80', 'https:': '443' }

export interface NetAccessOptions {
  plugin: string
  /** As in `Grants.net`. */
  hosts: readonly string[]
  /** Share of one core that its requests may take. */
  cpu: number
  /** Told of each denial. */
  denied(resource: string, action: 'connect'): void
  /** Told of each host that it reached. */
  used?: ((resource: string, action: 'connect') => void) | undefined
}

export class NetAccess {
  readonly #options: NetAccessOptions
  readonly #requester: Requester

  constructor(options: NetAccessOptions) {
    this.#options = options
    this.#requester = new Requester(options)
  }

  /** Rejects with PERMISSION_DENIED, PAYLOAD_TOO_LARGE, PLUGIN_LIMIT, or as `fetch` does. */
  async fetch(request: FetchRequest, claim: Claim, signal: AbortSignal): Promise<FetchAnswer> {
    let { url, method, headers, body } = request
    this.#assertHead(request)
    if (body !== null) this.#assertSize(body.byteLength, 'send')
    const grow = async (bytes: number): Promise<void> => {
      this.#assertSize(bytes, 'receive')
      await claim.grow(bytes)
    }
    for (let hop = 0; ; hop++) {
      const target = new URL(url)
      this.#assertAllowed(target)
      const follows = request.redirect !== 'manual'
      const answer = await this.#requester.make({ url: target.href, method, headers, body, follows }, grow, signal)
      if (!('location' in answer)) {
        if (answer.body !== null && answer.body.byteLength > SMALL) claim.moves(answer.body.buffer)
        return { ...answer, url: target.href, redirected: hop > 0 }
      }
      const { status, location } = answer
      if (request.redirect === 'error' || hop === MAX_REDIRECTS)
        throw new TypeError(
          request.redirect === 'error' ? `${url} redirects to ${location}` : `${request.url} redirects more than ${MAX_REDIRECTS} times`,
        )
      const next = new URL(location, target)
      if (status === 303 || (status <= 302 && method === 'POST')) {
        method = 'GET'
        body = null
        headers = headers.filter(([name]) => !name.startsWith('content-'))
      } else body = answer.body
      if (next.origin !== target.origin) headers = headers.filter(([name]) => !SECRET_HEADERS.has(name))
      url = next.href
    }
  }

  /** Ends what is under way, and makes nothing more. */
  close(): void {
    this.#requester.close()
  }

  #assertAllowed({ protocol, hostname, port, host, href }: URL): void {
    const usual = PORTS[protocol]
    const itsPort = port || usual
    const { plugin, hosts, denied, used } = this.#options
    if (usual !== undefined && hosts.some((allowed) => reaches(allowed, `${hostname}:${itsPort}`))) {
      used?.(`net:${hostname}:${itsPort}`, 'connect')
      return
    }
    denied(`net:${host}`, 'connect')
    throw new PlugbayError(
      'PERMISSION_DENIED',
      usual === undefined
        ? `Plugin '${plugin}' may not fetch '${href}': ctx.fetch speaks http: and https: only.`
        : `Plugin '${plugin}' may not connect to '${host}': its permissions do not name it. ${toAllow(entryFor(`net:${host}`, 'connect'))}`,
      { plugin, details: { resource: `net:${host}`, action: 'connect' } },
    )
  }

  #assertHead({ url, method, headers }: FetchRequest): void {
    let size = url.length + method.length
    for (const [name, value] of headers) size += name.length + value.length + AROUND
    if (size <= MAX_HEAD) return
    const { plugin } = this.#options
    throw new PlugbayError(
      'PAYLOAD_TOO_LARGE',
      `Plugin '${plugin}' may not fetch '${url.slice(0, 60)}…': its address, method and headers have ${size} characters, and the limit is ${MAX_HEAD}. Send what is large as the body.`,
      { plugin, details: { size, limit: MAX_HEAD } },
    )
  }

  #assertSize(size: number, what: 'send' | 'receive'): void {
    if (size <= MAX_BODY) return
    const { plugin } = this.#options
    throw new PlugbayError(
      'PAYLOAD_TOO_LARGE',
      `Plugin '${plugin}' may not ${what} a body of more than ${MAX_BODY} bytes through ctx.fetch. Ask for it in parts, or run the plugin where it may use 'node:https' itself.`,
      { plugin, details: { size, limit: MAX_BODY } },
    )
  }
}
