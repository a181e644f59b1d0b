/** Requests over HTTP on a plugin's behalf: the kernel makes them, to hosts the plugin may reach, redirects included. */
import { PlugbayError } from '../../errors.js'
import { reaches } from '../../hosts.js'
import { entryFor, toAllow } from '../../permission-set.js'
import type { KernelVerbs } from '../../sandbox/protocol.js'
import { type Claim, SMALL } from '../limits/room.js'
import { pacedFetch, SMALL_PIECE, SMALL_PIECES } from './paced-fetch.js'

type FetchRequest = KernelVerbs['fetch']['asks']
type FetchAnswer = KernelVerbs['fetch']['answers']

/** Bytes of a body that is sent or received. */
export const MAX_BODY = 16 * 1_024 * 1_024
const MAX_REDIRECTS = 5
const REDIRECTS = new Set([301, 302, 303, 307, 308])
/** Not carried on to another origin. */
const SECRET_HEADERS = new Set(['authorization', 'cookie', 'proxy-authorization'])
const PORTS: Record<string, string> = { 'http:': '80', 'https:': '443' }

export interface NetAccessOptions {
  plugin: string
  /** As in `Grants.net`. */
  hosts: readonly string[]
  /** Told of each denial. */
  denied(resource: string, action: 'connect'): void
  /** Told of each host that it reached. */
  used?: ((resource: string, action: 'connect') => void) | undefined
}

export class NetAccess {
  readonly #options: NetAccessOptions
  readonly #fetch = pacedFetch(() => this.#tooSmall())

  constructor(options: NetAccessOptions) {
    this.#options = options
  }

  /** Rejects with PERMISSION_DENIED, PAYLOAD_TOO_LARGE, PLUGIN_LIMIT, or as `fetch` does. */
  async fetch(request: FetchRequest, claim: Claim, signal: AbortSignal): Promise<FetchAnswer> {
    try {
      return await this.#follow(request, claim, signal)
    } catch (error) {
      // Of what ends an answer that has begun, `fetch` tells as the cause.
      const { cause } = error as { cause?: unknown }
      throw PlugbayError.is(cause) ? cause : error
    }
  }

  async #follow(request: FetchRequest, claim: Claim, signal: AbortSignal): Promise<FetchAnswer> {
    let { url, method, headers, body } = request
    if (body !== null) this.#assertSize(body.byteLength, 'send')
    for (let hop = 0; ; hop++) {
      const target = new URL(url)
      this.#assertAllowed(target)
      const response = await this.#fetch(target, { method, headers, body, redirect: 'manual', signal })
      const location = REDIRECTS.has(response.status) && request.redirect !== 'manual' ? response.headers.get('location') : null
      if (location === null) return this.#answer(response, target.href, hop > 0, claim)
      await response.body?.cancel()
      if (request.redirect === 'error' || hop === MAX_REDIRECTS)
        throw new TypeError(
          request.redirect === 'error' ? `${url} redirects to ${location}` : `${request.url} redirects more than ${MAX_REDIRECTS} times`,
        )
      const next = new URL(location, target)
      if (response.status === 303 || (response.status <= 302 && method === 'POST')) {
        method = 'GET'
        body = null
        headers = headers.filter(([name]) => !name.startsWith('content-'))
      }
      if (next.origin !== target.origin) headers = headers.filter(([name]) => !SECRET_HEADERS.has(name))
      url = next.href
    }
  }

  async #answer(response: Response, url: string, redirected: boolean, claim: Claim): Promise<FetchAnswer> {
    const chunks: Uint8Array[] = []
    let size = 0
    if (response.body !== null) {
      for await (const chunk of response.body) {
        size += chunk.byteLength
        this.#assertSize(size, 'receive')
        chunks.push(chunk)
        if (size > SMALL) await claim.grow(size)
      }
    }
    const { status, statusText, headers } = response
    const body = response.body === null ? null : joined(chunks, size)
    if (body !== null && size > SMALL) claim.moves(body.buffer)
    return { status, statusText, headers: [...headers], url, redirected, body }
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

  #tooSmall(): PlugbayError {
    const { plugin } = this.#options
    return new PlugbayError(
      'PLUGIN_LIMIT',
      `Plugin '${plugin}' was sent more than ${SMALL_PIECES} pieces of less than ${SMALL_PIECE} bytes a second, in all answers through ctx.fetch together: each costs the kernel's thread as much as a large one. ` +
        "Have the server write larger pieces, ask for less at once, or run the plugin where it may use 'node:https' itself.",
      { plugin, details: { limit: SMALL_PIECES, bytes: SMALL_PIECE } },
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

/** In memory that nothing else is in. */
const joined = (chunks: readonly Uint8Array[], size: number): Uint8Array<ArrayBuffer> => {
  const all = new Uint8Array(size)
  let at = 0
  for (const chunk of chunks) {
    all.set(chunk, at)
    at += chunk.byteLength
  }
  return all
}
