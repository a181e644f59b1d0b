/**
 * What may be open and under way between two places, over all their lines: streams, callbacks, objects by reference, abort signals, calls.
 */
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { MessageChannel } from 'node:worker_threads'
import { byReference } from 'plugbay'
import { describe, expect, onTestFinished, test } from 'vitest'
import { MOST_OPEN } from '#src/sandbox/lines/boxing.js'
import { Peer, Peers } from '#src/sandbox/lines/peers.js'
import { methodsOf, ProviderLine, ServiceClient, type ServiceProxy } from '#src/sandbox/lines/service-line.js'
import { CALL_LIMIT, WINDOW_BYTES } from '#src/sandbox/values/call-window.js'
import { gate } from '../support/conversations.js'
import { eventually } from '../support/eventually.js'

const MEGABYTE = 1_048_576

interface Line {
  call: (method: string, ...args: unknown[]) => Promise<unknown>
  proxy: ServiceProxy
  provider: ProviderLine
  client: ServiceClient
}

/** A line of 'user' to `service` of `name`, with what both ends share with their other lines. */
const lineTo = (service: object, { name = 'keeper', peer = new Peer(), peers = new Peers() } = {}): Line => {
  const { port1, port2 } = new MessageChannel()
  const methods = methodsOf(service)
  const provider = new ProviderLine(
    port2,
    { name: 'store', plugin: name, service, methods: new Set(methods) },
    'user',
    methods,
    () => {},
    peer,
  )
  const client = new ServiceClient({ name: 'store', provider: name, methods }, port1, undefined, peers)
  onTestFinished(() => {
    port1.close()
    port2.close()
  })
  const proxy = client.proxy({ timeout: 0 })
  return { proxy, provider, client, call: (method, ...args) => proxy[method](...args) }
}

const turns = async (count = 20): Promise<void> => {
  for (let i = 0; i < count; i++) await new Promise(setImmediate)
}

const collectGarbage = ((): (() => void) => {
  setFlagsFromString('--expose-gc')
  return runInNewContext('gc') as () => void
})()

/** Waits until as much is open at both ends as it says, while garbage is collected. */
const open = async (at: { peer: Peer; mine: Peer }, expected: Partial<Peer['open']>): Promise<void> => {
  await eventually(() => {
    collectGarbage()
    expect(at.peer.open).toMatchObject(expected)
    expect(at.mine.open).toMatchObject(expected)
  })
}

describe('calls over several lines to one provider', () => {
  /** A service whose `hold` answers when it is let go of. */
  const holding = () => {
    const doors: ReturnType<typeof gate<unknown>>[] = []
    const hold = (): Promise<unknown> => {
      const door = gate<unknown>()
      doors.push(door)
      return door.promise
    }
    return { doors, service: { hold } }
  }

  test('have one window, and those to another provider have their own', async () => {
    const peers = new Peers()
    const one = holding()
    const other = holding()
    const lines = Array.from({ length: 6 }, () => lineTo(one.service, { peers }))
    const calls = lines.flatMap(({ call }) => Array.from({ length: 4 }, () => call('hold', new Uint8Array(MEGABYTE))))
    await eventually(() => expect(one.doors.length).toBeGreaterThan(6))
    await turns()
    expect(one.doors.length).toBeLessThan(10)
    const elsewhere = lineTo(other.service, { name: 'other', peers }).call('hold', 'x')
    await eventually(() => expect(other.doors).toHaveLength(1))
    other.doors[0]?.open('done')
    await elsewhere
    for (let i = 0; i < calls.length; i++) {
      await eventually(() => expect(one.doors.length).toBeGreaterThan(i))
      one.doors[i]?.open('done')
    }
    await Promise.all(calls)
  })

  test('that wait leave when another line ends with its calls under way, and those that wait on it do not', async () => {
    const peers = new Peers()
    const { doors, service } = holding()
    const first = lineTo(service, { peers })
    const second = lineTo(service, { peers })
    const ended = Array.from({ length: 12 }, () => first.call('hold', new Uint8Array(MEGABYTE)))
    const under = WINDOW_BYTES / MEGABYTE
    await eventually(() => expect(doors).toHaveLength(under))
    const waiting = second.call('hold', 'x')
    await turns()
    expect(doors).toHaveLength(under)
    const { PlugbayError } = await import('plugbay')
    first.provider.close(new PlugbayError('SERVICE_GONE', 'It is gone.'))
    for (const each of ended) await expect(each).rejects.toMatchObject({ code: 'SERVICE_GONE' })
    await eventually(() => expect(doors).toHaveLength(under + 1))
    doors[under]?.open('done')
    await expect(waiting).resolves.toBe('done')
  })
})

describe('a stream', () => {
  test('is held back when its consumer has not taken 8 MiB of it, and goes on when it takes some', async () => {
    let made = 0
    const { call } = lineTo({
      async *list() {
        for (let i = 0; i < 40; i++) {
          made++
          yield { i, bytes: new Uint8Array(2 * MEGABYTE) }
        }
      },
    })
    const stream = ((await call('list')) as AsyncIterable<{ i: number }>)[Symbol.asyncIterator]()
    await stream.next()
    await eventually(() => expect(made).toBeGreaterThan(3))
    await turns(50)
    expect(made).toBeLessThan(8)
    const seen: number[] = []
    for (let next = await stream.next(); !next.done; next = await stream.next()) seen.push(next.value.i)
    expect(seen).toEqual(Array.from({ length: 39 }, (_, i) => i + 1))
  })

  test('of items that are larger than that comes one by one', async () => {
    const { call } = lineTo({
      async *list() {
        for (let i = 0; i < 3; i++) yield new Uint8Array(12 * MEGABYTE).fill(i)
      },
    })
    const seen: number[] = []
    for await (const bytes of (await call('list')) as AsyncIterable<Uint8Array>) seen.push(bytes[MEGABYTE])
    expect(seen).toEqual([0, 1, 2])
  })

  test('gives who asks for many items without waiting each its own, in order', async () => {
    const { call } = lineTo({
      async *list() {
        for (let i = 0; i < 300; i++) yield i
      },
    })
    const stream = ((await call('list')) as AsyncIterable<number>)[Symbol.asyncIterator]()
    const asked = await Promise.all(Array.from({ length: 302 }, () => stream.next()))
    expect(asked.slice(0, 300)).toEqual(Array.from({ length: 300 }, (_, value) => ({ done: false, value })))
    expect(asked.slice(300)).toEqual([
      { done: true, value: undefined },
      { done: true, value: undefined },
    ])
  })

  test.each<[string, unknown]>([
    ['a text', 'x'.repeat(CALL_LIMIT + 1)],
    ['an object', { bytes: new Uint8Array(CALL_LIMIT) }],
    ['many small objects', Array.from({ length: 100_000 }, (_, i) => ({ i }))],
    ['a view of a large buffer', new Uint8Array(new ArrayBuffer(CALL_LIMIT + 1), 0, 1)],
    ['objects that lie deep', [[[[[Array.from({ length: 100_000 }, (_, i) => ({ i }))]]]]]],
  ])('ends with an error at an item that is too large, and its producer ends: %s', async (_, item) => {
    let over = false
    const { call } = lineTo({
      async *list() {
        try {
          yield 'first'
          yield item
          yield 'last'
        } finally {
          over = true
        }
      },
      ping: () => 'pong',
    })
    const seen: unknown[] = []
    const reading = (async () => {
      for await (const each of (await call('list')) as AsyncIterable<unknown>) seen.push(each)
    })()
    await expect(reading).rejects.toMatchObject({
      code: 'PAYLOAD_TOO_LARGE',
      plugin: 'keeper',
      message: expect.stringMatching(/^An item of a stream of 'keeper' is too large: some \d+ bytes or more, and the limit/) as string,
      details: { limit: CALL_LIMIT },
    })
    expect(seen).toEqual(['first'])
    await eventually(() => expect(over).toBe(true))
    await expect(call('ping')).resolves.toBe('pong')
  })

  test('is one too many when so many are open between the two, until one of them is left', async () => {
    const at = { peer: new Peer(), peers: new Peers() }
    const mine = at.peers.of('keeper')
    const { call } = lineTo(
      {
        async *list() {
          yield 1
          yield 2
        },
      },
      at,
    )
    const stream = ((await call('list')) as AsyncIterable<number>)[Symbol.asyncIterator]()
    await stream.next()
    at.peer.open.streams += MOST_OPEN.streams - 1
    await expect(call('list')).rejects.toMatchObject({
      code: 'PLUGIN_LIMIT',
      message: expect.stringMatching(
        /^No more streams can pass between here and consumer 'user' of service 'store': 4096 are open .* Read each to its end/,
      ) as string,
      details: { limit: 'streams', allowed: MOST_OPEN.streams },
    })
    await stream.return?.()
    await eventually(() => expect(mine.open.streams).toBe(0))
    await eventually(() => expect(at.peer.open.streams).toBe(MOST_OPEN.streams - 1))
    for await (const item of (await call('list')) as AsyncIterable<number>) expect(item).toBeGreaterThan(0)
  })
})

describe('a reference', () => {
  test('is one too many when so many are open between the two: none of its call is', async () => {
    const at = { peer: new Peer(), peers: new Peers() }
    const mine = at.peers.of('keeper')
    const { call } = lineTo({ take: () => 'taken' }, at)
    mine.open.references = MOST_OPEN.references - 1
    await expect(call('take', () => 1, new AbortController().signal)).rejects.toMatchObject({
      code: 'PLUGIN_LIMIT',
      message: expect.stringMatching(
        /^No more callbacks, objects by reference and abort signals can pass between here and service 'store' of 'keeper': 32768 are open/,
      ) as string,
      details: { limit: 'references', allowed: MOST_OPEN.references },
    })
    await eventually(() => expect(mine.open.references).toBe(MOST_OPEN.references - 1))
    await expect(call('take', () => 1)).resolves.toBe('taken')
  })

  test('of a call that cannot leave is not held open', async () => {
    const at = { peer: new Peer(), peers: new Peers() }
    const mine = at.peers.of('keeper')
    const { call } = lineTo({ take: () => 'taken' }, at)
    await expect(call('take', () => 1, 'x'.repeat(CALL_LIMIT + 1))).rejects.toMatchObject({ code: 'PAYLOAD_TOO_LARGE' })
    await expect(call('take', () => 1, [Symbol('no')])).rejects.toMatchObject({ code: 'PAYLOAD_NOT_CLONEABLE' })
    await open({ ...at, mine }, { references: 0 })
  })

  test('of a call that waited for room in vain is not held open', async () => {
    const at = { peer: new Peer(), peers: new Peers() }
    const mine = at.peers.of('keeper')
    const { call, proxy } = lineTo({ hold: () => new Promise(() => {}) }, at)
    for (let i = 0; i < 9; i++) call('hold', new Uint8Array(MEGABYTE)).catch(() => {})
    const late = proxy.$with({ timeout: 20 })['hold'] as (tell: () => void) => Promise<unknown>
    await expect(late(() => {})).rejects.toMatchObject({ code: 'CALL_TIMEOUT' })
    await open({ ...at, mine }, { references: 0 })
  })

  test.each<[string, (call: Line['call']) => Promise<unknown>]>([
    ['a callback', (call) => call('each', () => 1)],
    ['an object', async (call) => ((await call('object')) as { size(): Promise<number> }).size()],
    ['an abort signal', (call) => call('take', new AbortController().signal)],
  ])('that nobody has any more is let go of at both ends: %s', async (_, pass) => {
    const at = { peer: new Peer(), peers: new Peers() }
    const service = { each: (tell: () => unknown) => tell(), object: () => byReference({ size: () => 1 }), take: () => {} }
    const { call } = lineTo(service, at)
    for (let i = 0; i < 50; i++) await pass(call)
    // The last one may lie in a frame that is not overwritten yet.
    await eventually(() => {
      collectGarbage()
      expect(at.peer.open.references).toBeLessThan(3)
      expect(at.peers.of('keeper').open.references).toBeLessThan(3)
    })
  })

  test('that somebody waits for is not let go of', async () => {
    const door = gate<string>()
    const { call } = lineTo({ each: (tell: () => Promise<unknown>) => tell() })
    const called = call('each', () => door.promise)
    for (let i = 0; i < 5; i++) {
      collectGarbage()
      await turns()
    }
    door.open('answered')
    await expect(called).resolves.toBe('answered')
  })

  test('is a signal, and still tells who listens to it and does not keep it', async () => {
    const heard = gate<string>()
    const { call } = lineTo({
      listen: (signal: AbortSignal) => signal.addEventListener('abort', () => heard.open((signal.reason as Error).message)),
    })
    const controller = new AbortController()
    await call('listen', controller.signal)
    for (let i = 0; i < 5; i++) {
      collectGarbage()
      await turns()
    }
    controller.abort(new Error('enough'))
    await expect(heard.promise).resolves.toBe('enough')
  })

  test('answers no more than its caller has room for', async () => {
    const answers: unknown[] = [Array.from({ length: 100_000 }, (_, i) => ({ i })), 'x'.repeat(CALL_LIMIT + 1), 'small']
    const { call } = lineTo({
      each: async (tell: () => Promise<unknown>) => {
        const told: unknown[] = []
        for (let i = 0; i < 3; i++) told.push(await tell().catch(({ code, message }: Error & { code: string }) => `${code} ${message}`))
        return told
      },
      object: () => byReference({ much: () => 'x'.repeat(CALL_LIMIT + 1) }),
    })
    const refused = expect.stringMatching(/^PAYLOAD_TOO_LARGE The result of 'call', passed by reference, is too large/) as string
    await expect(call('each', () => answers.shift())).resolves.toEqual([refused, refused, 'small'])
    const object = (await call('object')) as { much(): Promise<string> }
    await expect(object.much()).rejects.toMatchObject({
      code: 'PAYLOAD_TOO_LARGE',
      plugin: 'keeper',
      message: expect.stringContaining("The result of 'much' of 'keeper', passed by reference, is too large") as string,
    })
  })
})

test('a stream that nobody has any more is let go of at both ends, and its producer ends', async () => {
  const at = { peer: new Peer(), peers: new Peers() }
  let over = 0
  const { call } = lineTo(
    {
      async *list() {
        try {
          for (let i = 0; ; i++) yield i
        } finally {
          over++
        }
      },
    },
    at,
  )
  for (let i = 0; i < 20; i++) await ((await call('list')) as AsyncIterable<number>)[Symbol.asyncIterator]().next()
  await eventually(() => {
    collectGarbage()
    expect(over).toBeGreaterThan(17)
    expect(at.peer.open.streams).toBeLessThan(3)
    expect(at.peers.of('keeper').open.streams).toBeLessThan(3)
  })
})
