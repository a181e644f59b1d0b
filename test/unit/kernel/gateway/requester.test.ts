import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import type { Worker } from 'node:worker_threads'
import { expect, it, onTestFinished, vi } from 'vitest'
import { type Exchange, Requester, type RequesterOptions } from '#src/kernel/gateway/requester.js'
import { eventually } from '../../../support/eventually.js'
import { serve } from '../../../support/http-server.js'

const root = fileURLToPath(new URL('../../../..', import.meta.url))
/** A thread that a path of `/hold` holds, and one of `/exit` ends. */
const ODD = new URL('../../../fixtures/requests/odd-thread.mjs', import.meta.url)

/** The threads that are made from now on. */
const threadsMade = (): Worker[] => {
  const made: Worker[] = []
  const note = (worker: Worker): void => void made.push(worker)
  process.on('worker', note)
  onTestFinished(() => void process.off('worker', note))
  return made
}

const requesterOf = (options: Partial<RequesterOptions> = {}) => {
  const requester = new Requester({ plugin: 'p', cpu: 1, ...options })
  onTestFinished(() => requester.close())
  const get = (url: string, { signal = new AbortController().signal, grow = async () => {}, ...more }: Partial<Exchange> & Options = {}) =>
    requester.make({ url, method: 'GET', headers: [], body: null, follows: true, ...more }, grow, signal)
  return { requester, get }
}

interface Options {
  signal?: AbortSignal
  grow?: (bytes: number) => Promise<void>
}

it('one thread makes all requests, and ends when there was none for a while', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
  onTestFinished(() => void vi.useRealTimers())
  const made = threadsMade()
  const server = await serve((_request, response) => response.end())
  const { get } = requesterOf()
  expect(made).toEqual([])
  await Promise.all([get(server.url), get(server.url)])
  vi.advanceTimersByTime(9_999)
  await get(server.url)
  vi.advanceTimersByTime(9_999)
  expect(made).toHaveLength(1)
  const exited = once(made[0], 'exit')
  vi.advanceTimersByTime(1)
  await exited
  await get(server.url)
  expect(made).toHaveLength(2)
})

/** What a process of its own writes, with these options for Node, in which `get` makes requests. */
const writtenBy = async (code: string, ...options: string[]): Promise<string> => {
  const begin = `
    import { Requester } from '#src/kernel/gateway/requester.js'
    const requester = new Requester({ plugin: 'p', cpu: 1 })
    const get = (url) => requester.make({ url, method: 'GET', headers: [], body: null, follows: true }, async () => {}, new AbortController().signal)
    const hold = setInterval(() => {}, 1_000)`
  const { stdout } = await promisify(execFile)(process.execPath, [...options, '--input-type=module', '--eval', begin + code], { cwd: root })
  return stdout
}

it('keeps no process, be a request under way or not', async () => {
  const server = await serve((request, response) => request.url === '/' && response.end())
  const code = `
    await get('${server.url}/')
    clearInterval(hold)
    console.log('answered')
    void get('${server.url}/never')`
  expect(await writtenBy(code)).toBe('answered\n')
})

it('knows the options for networks that Node was started with, and is given no others', async () => {
  const server = await serve((_request, response) => response.writeHead(200, { 'x-long': 'x'.repeat(30_000) }).end())
  const code = `
    console.log((await get('${server.url}/')).status)
    clearInterval(hold)`
  expect(await writtenBy(code, '--max-http-header-size=65536', '--use-openssl-ca', '--dns-result-order', 'ipv4first')).toBe('200\n')
})

it('what is cancelled ends at the server, too, and its reason is told when it has', async () => {
  let closed = 0
  const server = await serve((request) => request.socket.once('close', () => closed++))
  const { get } = requesterOf()
  const abort = new AbortController()
  const asked = get(server.url, { signal: abort.signal })
  await eventually(() => expect(server.seen).toHaveLength(1))
  abort.abort(new Error('never mind'))
  await expect(asked).rejects.toThrow('never mind')
  await expect(get(server.url, { signal: abort.signal })).rejects.toThrow('never mind')
  await eventually(() => expect(closed).toBe(1))
  expect(server.seen).toHaveLength(1)
})

it('of an answer no more is taken than there is room for, and none when that is refused', async () => {
  let closed = false
  const server = await serve((request, response) => {
    request.socket.once('close', () => (closed = true))
    response.end(Buffer.alloc(16 * 1_024 * 1_024))
  })
  const { get } = requesterOf()
  const asked: number[] = []
  let refuse: (error: Error) => void = () => {}
  const grow = (bytes: number) => {
    asked.push(bytes)
    return new Promise<void>((_, reject) => (refuse = reject))
  }
  const answer = get(server.url, { grow })
  await eventually(() => expect(asked).toHaveLength(1))
  expect(asked[0]).toBeLessThan(1_024 * 1_024)
  expect(closed).toBe(false)
  refuse(new RangeError('no room'))
  await expect(answer).rejects.toThrow('no room')
  await eventually(() => expect(closed).toBe(true))
  expect(asked).toHaveLength(1)
})

it('a body that was sent comes back with an answer that leads elsewhere', async () => {
  const server = await serve((_request, response) => response.writeHead(307, { location: '/there' }).end('a page'))
  const sent = new Uint8Array(2 * 1_024 * 1_024).fill(7)
  const answer = await requesterOf().get(server.url, { method: 'POST', body: sent })
  expect(answer).toMatchObject({ status: 307, location: '/there' })
  expect(sent.byteLength).toBe(0)
  expect(Buffer.alloc(2 * 1_024 * 1_024, 7).equals(answer.body as Uint8Array)).toBe(true)
})

it('what fails says so as fetch does, with its cause', async () => {
  const { get } = requesterOf()
  await expect(get('http://127.0.0.1:1/')).rejects.toMatchObject({
    name: 'TypeError',
    message: 'fetch failed',
    cause: expect.anything() as unknown,
  })
  await expect(get('http://127.0.0.1:1/', { method: 'NO SUCH' })).rejects.toMatchObject({ name: 'TypeError' })
})

it.each([
  ['exit', { code: 'INTERNAL', message: expect.stringMatching(/'p' through ctx\.fetch ended.*exited with code 3/) as string }],
  [
    'hold',
    { code: 'PLUGIN_LIMIT', message: expect.stringMatching(/'p' through ctx\.fetch got nothing done for \d+ ms, of 250/) as string },
  ],
])('a thread that meets %s fails all that is under way there, and the next request has another', async (path, error) => {
  const server = await serve((request, response) => request.url === '/' && response.end('here'))
  const { get } = requesterOf({ script: ODD, hang: 250 })
  const waits = get(`${server.url}/waits`)
  await eventually(() => expect(server.seen).toHaveLength(1))
  const answers = await Promise.allSettled([waits, get(`${server.url}/${path}`)])
  expect(answers).toMatchObject([{ reason: { plugin: 'p', ...error } }, { reason: { plugin: 'p', ...error } }])
  expect(await get(server.url)).toMatchObject({ status: 200 })
})

it('when it is closed, what is under way ends, and nothing more is made', async () => {
  let closed = false
  const server = await serve((request) => request.socket.once('close', () => (closed = true)))
  const { requester, get } = requesterOf()
  const asked = get(server.url)
  await eventually(() => expect(server.seen).toHaveLength(1))
  requester.close()
  await expect(asked).rejects.toMatchObject({ code: 'PLUGIN_STOPPED', plugin: 'p' })
  await expect(get(server.url)).rejects.toMatchObject({ code: 'PLUGIN_STOPPED' })
  await eventually(() => expect(closed).toBe(true))
})
