import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import type { IncomingMessage } from 'node:http'
import { gzipSync } from 'node:zlib'
import { expect, it, onTestFinished } from 'vitest'
import { NetAccess } from '#src/kernel/gateway/net-access.js'
import type { KernelVerbs } from '#src/sandbox/protocol.js'
import { serve } from '../../../support/http-server.js'

/** There is room for any answer. */
const ROOMY = { grow: async () => {}, moves: () => {} }

const accessTo = (hosts: string[], denials: string[] = []) => {
  const net = new NetAccess({ plugin: 'p', hosts, cpu: 1, denied: (resource) => denials.push(resource) })
  onTestFinished(() => net.close())
  return net
}

const asking = (hosts: string[]) => {
  const denials: string[] = []
  const net = accessTo(hosts, denials)
  const ask = (url: string, more: Partial<KernelVerbs['fetch']['asks']> = {}, signal = new AbortController().signal) =>
    net.fetch({ url, method: 'GET', headers: [], redirect: 'follow', body: null, ...more }, ROOMY, signal)
  return { ask, denials }
}

const text = (bytes: Uint8Array | null) => new TextDecoder().decode(bytes ?? undefined)
const denied = expect.objectContaining({ code: 'PERMISSION_DENIED', plugin: 'p' }) as Error

it('asks a host that is granted, with method, headers and body', async () => {
  const server = await serve((_request, response) => response.writeHead(201, { 'x-answer': 'yes' }).end('made'))
  const { ask } = asking(['127.0.0.1'])
  const headers: [string, string][] = [['authorization', 'Bearer t']]
  const answer = await ask(`${server.url}/things`, {
    method: 'POST',
    headers,
    body: new TextEncoder().encode('a thing'),
  })
  expect(answer).toMatchObject({ status: 201, url: `${server.url}/things`, redirected: false })
  expect(answer.headers).toContainEqual(['x-answer', 'yes'])
  expect(text(answer.body)).toBe('made')
  expect(server.seen).toEqual([{ method: 'POST', url: '/things', authorization: 'Bearer t', body: 'a thing' }])
})

it('no connection is of the thread that asks, whatever comes over it', async () => {
  const crumbs = await serve(inPieces(Buffer.from('crumbs'), 1))
  let connections = 0
  const count = (): unknown => connections++
  subscribe('net.client.socket', count)
  onTestFinished(() => void unsubscribe('net.client.socket', count))
  expect(text((await asking(['*']).ask(crumbs.url)).body)).toBe('crumbs')
  expect(connections).toBe(0)
  // It would have been seen.
  await (await fetch(crumbs.url)).text()
  expect(connections).toBe(1)
})

it.each([
  [[], false],
  [['example.org'], false],
  [['127.0.0.1:1'], false],
  [['*.0.0.1'], true],
  [['.0.0.1'], false],
  [['*'], true],
])('a host under %j is reached: %s', async (hosts, reached) => {
  const server = await serve((_request, response) => response.end('hello'))
  const { ask, denials } = asking(hosts)
  if (reached) expect(text((await ask(server.url)).body)).toBe('hello')
  else {
    await expect(ask(server.url)).rejects.toThrow(denied)
    await expect(ask(server.url)).rejects.toThrow(`{ "resource": "net:127.0.0.1:${server.port}", "actions": ["connect"] }`)
    expect(denials[0]).toBe(`net:127.0.0.1:${server.port}`)
    expect(server.seen).toEqual([])
  }
})

it.each(['ftp', 'ws', 'gopher'])('speaks no %s:, to whomever, and says so', async (protocol) => {
  const { ask, denials } = asking(['*', '127.0.0.1:8080'])
  await expect(ask(`${protocol}://127.0.0.1:8080/`)).rejects.toThrow('ctx.fetch speaks http: and https: only')
  expect(denials).toEqual(['net:127.0.0.1:8080'])
})

it('the port may be part of what is granted', async () => {
  const server = await serve((_request, response) => response.end('hello'))
  expect(text((await asking([`127.0.0.1:${server.port}`]).ask(server.url)).body)).toBe('hello')
})

it.each(['file:///etc/passwd', 'data:text/plain,x', 'ftp://127.0.0.1/'])('%s is no request over HTTP', async (url) => {
  await expect(asking(['*']).ask(url)).rejects.toThrow(denied)
})

it('a redirect is followed to hosts that are granted only, without what is secret', async () => {
  const far = await serve((_request, response) => response.end('far'))
  const near = await serve((request, response) =>
    response.writeHead(302, { location: request.url === '/same' ? '/end' : `${far.url}/x` }).end(),
  )
  const headers: [string, string][] = [['authorization', 'Bearer t']]
  const { ask, denials } = asking([`127.0.0.1:${near.port}`])
  await expect(ask(near.url, { headers })).rejects.toThrow(denied)
  expect(far.seen).toEqual([])
  expect(denials).toEqual([`net:127.0.0.1:${far.port}`])
  const answer = await asking(['127.0.0.1']).ask(near.url, { headers, method: 'POST', body: new Uint8Array([65]) })
  expect(answer).toMatchObject({ status: 200, url: `${far.url}/x`, redirected: true })
  expect(far.seen).toEqual([{ method: 'GET', url: '/x', authorization: undefined, body: '' }])
  await expect(asking(['127.0.0.1']).ask(`${near.url}/x`, { redirect: 'manual' })).resolves.toMatchObject({ status: 302 })
  await expect(asking(['127.0.0.1']).ask(`${near.url}/x`, { redirect: 'error' })).rejects.toThrow('redirects')
})

it('redirects do not go on for ever, and bodies do not grow without end', async () => {
  const circle = await serve((_request, response) => response.writeHead(302, { location: '/' }).end())
  await expect(asking(['*']).ask(circle.url)).rejects.toThrow('redirects more than 5 times')
  expect(circle.seen).toHaveLength(6)
  const flood = await serve((_request, response) => {
    const pour = (): void => {
      while (!response.destroyed && response.write(Buffer.alloc(1_048_576)));
      if (!response.destroyed) response.once('drain', pour)
    }
    pour()
  })
  await expect(asking(['*']).ask(flood.url)).rejects.toMatchObject({ code: 'PAYLOAD_TOO_LARGE' })
})

it.each<[string, string, [string, string][]]>([
  ['an address', `http://127.0.0.1/${'a'.repeat(65_536)}`, []],
  ['a header', 'http://127.0.0.1/', [['x-long', 'a'.repeat(65_536)]]],
  ['headers', 'http://127.0.0.1/', Array.from({ length: 16_384 }, () => ['', ''])],
])('too long are: %s, before they are looked at', async (_, url, headers) => {
  const { ask, denials } = asking([])
  await expect(ask(url, { headers })).rejects.toMatchObject({ code: 'PAYLOAD_TOO_LARGE', plugin: 'p', details: { limit: 65_536 } })
  expect(denials).toEqual([])
})

it('a body takes room as it comes, and is moved; a small one is neither counted nor moved', async () => {
  const server = await serve((request, response) => response.end(Buffer.alloc(Number(request.url?.slice(1)))))
  const net = accessTo(['*'])
  const asked: number[] = []
  const moved: unknown[] = []
  const claim = { grow: async (bytes: number) => void asked.push(bytes), moves: (object: unknown) => void moved.push(object) }
  const ask = (size: number) =>
    net.fetch(
      { url: `${server.url}/${size}`, method: 'GET', headers: [], redirect: 'follow', body: null },
      claim,
      new AbortController().signal,
    )
  await ask(64 * 1_024)
  expect([asked, moved]).toEqual([[], []])
  const { body } = await ask(1_000_000)
  expect(asked.at(-1)).toBe(1_000_000)
  expect(asked).toEqual(asked.toSorted((a, b) => a - b))
  expect([body?.length, moved]).toEqual([1_000_000, [body?.buffer]])
})

it('a request that is cancelled ends', async () => {
  const silent = await serve(() => {})
  const abort = new AbortController()
  const asked = asking(['*']).ask(silent.url, {}, abort.signal)
  abort.abort(new Error('never mind'))
  await expect(asked).rejects.toThrow('never mind')
})

/** `body` in pieces of so many bytes, as they are on the wire: Node's own servers may gather what they are given. */
const inPieces = (body: Uint8Array, size: number) => {
  const pieces: Uint8Array[] = []
  for (let at = 0; at < body.length; at += size) {
    const piece = body.subarray(at, at + size)
    pieces.push(Buffer.from(`${piece.length.toString(16)}\r\n`), piece, Buffer.from('\r\n'))
  }
  const encoding = body[0] === 0x1f ? 'content-encoding: gzip\r\n' : ''
  const head = `HTTP/1.1 200 OK\r\n${encoding}transfer-encoding: chunked\r\n\r\n`
  const whole = Buffer.concat([Buffer.from(head), ...pieces, Buffer.from('0\r\n\r\n')])
  return (request: IncomingMessage) => void request.socket.write(whole)
}

it.each(['as it is', 'compressed'])('an answer %s in many pieces comes whole and in order, beside others', async (how) => {
  const whole = Buffer.from(Array.from({ length: 100_000 }, (_, index) => `line ${index}\n`).join(''))
  const server = await serve(inPieces(how === 'compressed' ? gzipSync(whole) : whole, 40))
  const { ask } = asking(['*'])
  for (const { body } of await Promise.all([ask(server.url), ask(server.url), ask(server.url)]))
    expect(whole.equals(body as Uint8Array)).toBe(true)
})

it('an answer in pieces of a byte comes whole', async () => {
  const whole = Buffer.from(Array.from({ length: 100_000 }, (_, index) => index % 251))
  const crumbs = await serve(inPieces(whole, 1))
  const { ask } = asking(['*'])
  expect(whole.equals((await ask(crumbs.url)).body as Uint8Array)).toBe(true)
})
